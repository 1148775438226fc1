"""Headers, proxies, HTTPS, and an installation without log-in."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import select

from storage_core import access, api_tokens
from storage_core.accounts import LOCAL_ID
from storage_core.db import session_scope
from storage_core.errors import SettingsError
from storage_core.models import ROLES, AuditEntry, User
from storage_core.settings import Settings
from tests.webapp.conftest import PASSWORD, Browser
from tests.webapp.programs import refused_log_ins
from webapp import create_app
from webapp.extensions import db
from webapp.security import HEADERS, STRICT_TRANSPORT
from workers import gunicorn_config


@pytest.fixture
def make_app(settings: Settings, compiled_templates) -> Iterator[Callable[..., Flask]]:
    """Applications with other settings."""
    made: list[Flask] = []

    def make(**changes: object) -> Flask:
        app = create_app(replace(settings, **changes))
        app.testing = True
        app.jinja_env.bytecode_cache = compiled_templates
        made.append(app)
        return app

    yield make
    for app in made:
        with app.app_context():
            db.engine.dispose()


@pytest.mark.parametrize(
    ("address", "status"),
    [("/", 200), ("/login", 303), ("/nowhere", 404), ("/static/css/app.css", 200), ("/api/v1/nowhere", 404),
     ("/api/v1/data", 200), ("/healthz", 200), ("/logout", 405)],
)  # fmt: skip
def test_every_answer_has_every_header(admin, address, status):
    with admin.client.get(address) as answer:
        assert answer.status_code == status
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        assert "Strict-Transport-Security" not in answer.headers
        assert answer.headers["Cache-Control"]
        assert "Server" not in answer.headers
        assert "X-Powered-By" not in answer.headers


def test_over_https_the_browser_is_told_to_stay_there(app):
    with app.test_client().get("/login", base_url="https://lab.example") as answer:
        assert answer.headers["Strict-Transport-Security"] == STRICT_TRANSPORT
        cookie = answer.headers["Set-Cookie"]
        assert all(word in cookie for word in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"))
        assert "Domain" not in cookie


@pytest.mark.parametrize(("proxies", "address", "secure"), [(0, "127.0.0.1", False), (1, "203.0.113.9", True),
                                                             (2, "198.51.100.7", True)])  # fmt: skip
def test_only_as_many_proxies_are_believed_as_the_setting_says(make_app, engine, users, proxies, address, secure):
    browser = Browser(make_app(trusted_proxies=proxies))
    headers = {"X-Forwarded-For": "198.51.100.7, 203.0.113.9", "X-Forwarded-Proto": "https, https"}
    page = browser.client.get("/login", headers=headers)
    assert ("Secure" in page.headers["Set-Cookie"]) is secure
    assert ("Strict-Transport-Security" in page.headers) is secure
    form = {"name": "tom", "password": "wrong", "csrf_token": browser.token()}
    browser.client.post("/login", data=form, headers=headers)
    with session_scope(engine) as session:
        assert session.scalars(select(AuditEntry.address)).one_or_none() in (address, None)


def test_the_server_before_the_application_believes_no_proxy_by_itself():
    assert (gunicorn_config.forwarded_allow_ips, gunicorn_config.secure_scheme_headers) == ("", {})


def test_a_forged_address_does_not_help_to_guess(app, users, engine):
    refused_log_ins(engine, 9)
    browser = Browser(app)
    token = browser.token()
    codes = [
        browser.client.post(
            "/login",
            data={"name": f"nobody{number}", "password": "wrong", "csrf_token": token},
            headers={"X-Forwarded-For": f"10.0.0.{number}", "X-Real-IP": f"10.0.0.{number}"},
        ).status_code
        for number in range(2)
    ]
    assert codes == [422, 429]


def test_waiting_is_said_and_survives_a_restart(make_app, users, engine):
    refused_log_ins(engine, 9, address="10.0.0.1", target="ada")
    first = Browser(make_app())
    assert first.post("/login", {"name": "ada", "password": "wrong"}).status_code == 422
    again = Browser(make_app())  # another process
    answer = again.post("/login", {"name": "ada", "password": PASSWORD})
    assert answer.status_code == 429
    assert 600 < int(answer.headers["Retry-After"]) <= 900
    assert "Try again in 15 minutes." in answer.get_data(as_text=True)
    assert PASSWORD not in answer.get_data(as_text=True)
    assert again.post("/login", {"name": "tom", "password": PASSWORD}).status_code == 303


def test_without_log_in_everybody_here_is_an_admin(make_app, engine):
    app = make_app(auth="none")
    browser = Browser(app)
    page = browser.get("/users")
    assert "(local)" in page.text
    assert not page.find("form", action="/logout")
    assert app.test_client().get("/login").location == "/"
    answer = app.test_client().post("/account/tokens", data={"name": "x", "scope": "admin", "days": "1"})
    assert answer.status_code == 400, "other sites in the browser still lack the CSRF token"
    with session_scope(engine) as session:
        assert session.scalars(select(User.id)).all() == [LOCAL_ID]


@pytest.mark.parametrize(
    ("change", "served"),
    [
        ({}, True),
        ({"headers": {"Host": "127.0.0.1:8000"}}, True),
        ({"headers": {"Host": "[::1]:8000"}}, True),
        ({"headers": {"Host": "LOCALHOST."}}, True),
        ({"headers": {"Host": "evil.example"}}, False),
        ({"headers": {"Host": "evil.example:8000"}}, False),
        ({"headers": {"Host": "127.0.0.1.evil.example"}}, False),
        ({"headers": {"Host": "localhost@evil.example"}}, False),
        ({"headers": {"Host": "0.0.0.0"}}, False),  # noqa: S104
        ({"headers": {"Host": "[::1"}}, False),
        ({"headers": {"Host": ""}}, False),
        ({"headers": {"X-Forwarded-For": "127.0.0.1"}}, False),
        ({"headers": {"Via": "1.1 proxy"}}, False),
        ({"environ_base": {"REMOTE_ADDR": "192.168.1.7"}}, False),
        ({"environ_base": {"REMOTE_ADDR": "::ffff:192.168.1.7"}}, False),
        ({"environ_base": {"REMOTE_ADDR": "::ffff:127.0.0.1"}}, True),
    ],
)
def test_without_log_in_only_this_machine_is_served(make_app, change, served):
    answer = make_app(auth="none").test_client().get("/backtests", **change)
    assert answer.status_code == (200 if served else 403)
    if not served:
        assert "only this machine" in answer.get_data(as_text=True)
        assert "Set-Cookie" not in answer.headers


def test_what_was_made_without_log_in_lets_nobody_in_later(make_app, engine):
    without = make_app(auth="none")
    assert without.test_client().get("/").status_code == 200
    with session_scope(engine) as session:
        _, token = api_tokens.create(session, owner_id=LOCAL_ID, name="x", scope="admin")
    bearer = {"Authorization": f"Bearer {token}"}
    assert without.test_client().get("/api/v1/data", headers=bearer).status_code == 200
    later = make_app()
    browser = Browser(later)
    with browser.client.session_transaction() as session:
        session["_user_id"] = f"{LOCAL_ID}.0"
    assert browser.client.get("/").status_code == 303
    assert later.test_client().get("/api/v1/data", headers=bearer).status_code == 401
    assert "no account yet" in Browser(later).get("/login").text


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"AUTH": "none", "HOST": "0.0.0.0"}, "none only with HOST=127.0.0.1"),  # noqa: S104
        ({"AUTH": "none", "HOST": "lab.example"}, "none only with HOST=127.0.0.1"),
        ({"AUTH": "none", "TRUSTED_PROXIES": "1"}, "only without a proxy"),
        ({"AUTH": "off"}, "password or none"),
        ({"TRUSTED_PROXIES": "11"}, "0 to 10"),
    ],
)
def test_settings_that_would_open_the_door_are_refused(tmp_path, given, words):
    with pytest.raises(SettingsError, match=words):
        Settings.from_env({"DATA_DIR": str(tmp_path), **given})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "LocalHost."])
def test_loopback_is_accepted_without_log_in(tmp_path, host):
    assert Settings.from_env({"DATA_DIR": str(tmp_path), "AUTH": "none", "HOST": host}).auth == "none"


def test_roles_include_one_another():
    assert tuple(access.MAY) == ROLES
    assert access.MAY["viewer"] < access.MAY["trader"] < access.MAY["admin"]
    assert not access.may("king", "look")
