"""The own account: password, preferences, sessions."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from storage_core.accounts import verify_password
from storage_core.db import session_scope
from storage_core.models import AuditEntry, User
from tests.webapp.conftest import PASSWORD, Browser
from tests.webapp.programs import refused_log_ins
from webapp import sessions

NEW = "another horse entirely"
FORM = {"current": PASSWORD, "password": NEW, "repeated": NEW}


def log_in(app: Flask, name: str = "tom") -> Browser:
    """A browser that has gone through the login page."""
    browser = Browser(app)
    assert browser.post("/login", {"name": name, "password": PASSWORD}).status_code == 303
    return browser


def actions(engine) -> list[tuple[str, str, str]]:
    with session_scope(engine) as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        return [(entry.actor, entry.action, entry.target) for entry in entries]


def test_another_password_ends_all_other_sessions(app, users, engine):
    here, elsewhere = log_in(app), log_in(app)
    assert here.post("/account/password", FORM).status_code == 303
    assert "The password is changed" in here.get("/account").text
    assert elsewhere.client.get("/").status_code == 303
    with session_scope(engine) as session:
        assert verify_password(session, "tom", PASSWORD) is None
        assert verify_password(session, "tom", NEW) is not None
    assert actions(engine)[-1] == ("tom", "account.password_changed", "tom")


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"current": "wrong"}, "current", "not your current password"),
        ({"repeated": "different"}, "repeated", "Not the same"),
        ({"password": "short", "repeated": "short"}, "password", "8 to 1024"),
    ],
)
def test_a_bad_change_of_the_password_is_explained_beside_the_field(trader, engine, change, field, words):
    answer = trader.post("/account/password", {**FORM, **change})
    assert answer.status_code == 422
    html = answer.get_data(as_text=True)
    hint = html.split(f'id="{field}-hint"')[1].split("</div>")[0]
    assert words in hint
    assert NEW not in html
    with session_scope(engine) as session:
        assert verify_password(session, "tom", PASSWORD) is not None


def test_guessing_the_current_password_is_slowed_down_too(trader, users, engine):
    refused_log_ins(engine, 9, target="tom")
    assert trader.post("/account/password", {**FORM, "current": "wrong"}).status_code == 422
    answer = trader.post("/account/password", FORM)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 60


def test_preferences_are_kept_and_used(trader, engine, users):
    wanted = {"timezone": "Asia/Seoul", "theme": "dark", "language": "ko"}
    assert trader.post("/account/preferences", wanted).status_code == 303
    page = trader.get("/account")
    assert page.find("html", lang="ko", data_theme="dark")
    assert page.by_id("timezone").get("value") == "Asia/Seoul"
    for name, value in (("timezone", "Mars/Base"), ("theme", "pink"), ("language", "xx")):
        answer = trader.post("/account/preferences", {**wanted, name: value})
        assert answer.status_code == 422, name
    with session_scope(engine) as session:
        user = session.get(User, users["tom"])
        assert (user.timezone, user.theme, user.language) == ("Asia/Seoul", "dark", "ko")


def test_other_sessions_can_be_ended(app, users, engine):
    here, elsewhere = log_in(app), log_in(app)
    elsewhere.get("/")
    assert here.post("/account/sessions/end").status_code == 303
    here.get("/")
    assert elsewhere.client.get("/").status_code == 303
    assert actions(engine)[-1] == ("tom", "account.sessions_ended", "tom")


def test_log_in_and_out_are_in_the_audit_log(app, users, engine):
    browser = log_in(app)
    browser.post("/logout")
    browser.post("/login", {"name": "tom", "password": "wrong"})
    browser.post("/login", {"name": "my secret password", "password": "wrong"})
    found = actions(engine)
    assert found[:3] == [
        ("tom", "account.logged_in", "tom"),
        ("tom", "account.logged_out", "tom"),
        ("tom", "account.login_failed", "tom"),
    ]
    assert found[3][1] == "account.login_failed"
    assert "secret" not in str(found)
    with session_scope(engine) as session:
        entry = session.scalars(select(AuditEntry)).first()
        assert (entry.address, len(entry.request_id) >= 8) == ("127.0.0.1", True)


def test_the_session_is_a_new_one_after_the_login(app, users):
    browser = Browser(app)
    browser.get("/login")
    with browser.client.session_transaction() as session:
        session["planted"] = "by somebody else"
        before = session["csrf_token"]
    planted = browser.token()
    browser.post("/login", {"name": "tom", "password": PASSWORD})
    with browser.client.session_transaction() as session:
        assert "planted" not in session
        assert session.get("csrf_token") != before
    answer = browser.client.post("/account/sessions/end", headers={"X-CSRFToken": planted})
    assert answer.status_code == 400


@pytest.mark.parametrize(("age", "works"), [(timedelta(days=29), True), (timedelta(days=30, seconds=5), False)])
def test_a_session_ends_after_a_month(app, users, age, works):
    browser = log_in(app)
    with browser.client.session_transaction() as session:
        session["since"] = session["since"] - int(age.total_seconds())
    assert browser.client.get("/").status_code == (200 if works else 303)


def test_a_session_ends_after_a_week_of_rest(app, users, monkeypatch):
    browser = log_in(app)
    cookie = browser.client.get_cookie("coin_hts")
    rest = (cookie.expires - datetime.now(UTC)).total_seconds()
    assert 0.9 * sessions.AT_REST.total_seconds() < rest <= sessions.AT_REST.total_seconds()
    value, real = cookie.value, time.time
    monkeypatch.setattr(time, "time", lambda: real() + sessions.AT_REST.total_seconds() + 5)
    late = app.test_client(use_cookies=False)  # somebody who has kept the cookie
    answer = late.get("/", headers={"Cookie": f"coin_hts={value}"})
    assert answer.status_code == 303


def test_a_busy_session_gets_a_younger_cookie_once_an_hour(app, users):
    browser = log_in(app)
    browser.get("/")  # the first page puts a CSRF token into the session
    assert "Set-Cookie" not in browser.client.get("/").headers
    with browser.client.session_transaction() as session:
        session["seen"] = session["seen"] - 3700
    assert "Set-Cookie" in browser.client.get("/").headers
    assert "Set-Cookie" not in browser.client.get("/").headers


@pytest.mark.parametrize("identity", ["", "x", "1.x", "-1", "99999999999999999999", "1.1", "0", "0.0", "１"])
def test_a_session_of_nobody_is_nobodys(app, users, identity):
    browser = Browser(app)
    with browser.client.session_transaction() as session:
        session["_user_id"] = identity
    assert browser.client.get("/").status_code == 303
