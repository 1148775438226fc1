"""The first account, logging in and out."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import select

from storage_core.accounts import setup_token
from storage_core.db import session_scope
from storage_core.models import User
from tests.webapp.conftest import PASSWORD, Browser
from tests.webapp.programs import refused_log_ins

FORM = {"name": "ada", "password": PASSWORD, "repeated": PASSWORD, "timezone": "Asia/Seoul"}


def names(engine) -> list[str]:
    with session_scope(engine) as session:
        return list(session.scalars(select(User.name)))


def test_the_link_creates_the_administrator_and_logs_in(visitor, settings, engine):
    link = f"/setup?token={setup_token(settings)}"
    assert "Create the first account" in visitor.get(link).text
    answer = visitor.post("/setup", {**FORM, "token": setup_token(settings)})
    assert (answer.status_code, answer.location) == (303, "/")
    assert "Welcome, ada" in visitor.get("/").text
    with session_scope(engine) as session:
        user = session.scalars(select(User)).one()
        assert (user.role, user.timezone) == ("admin", "Asia/Seoul")
        assert user.last_login_at is not None


def test_the_link_works_once(visitor, settings, engine, app):
    token = setup_token(settings)
    visitor.post("/setup", {**FORM, "token": token})
    second = Browser(app)
    assert second.client.get(f"/setup?token={token}").location == "/login"
    assert second.post("/setup", {**FORM, "name": "eve", "token": token}).location == "/login"
    assert names(engine) == ["ada"]


def test_two_people_race_for_the_link_and_one_gets_it(settings, engine, app):
    token, start = setup_token(settings), Barrier(2)
    browsers = [Browser(app), Browser(app)]
    tokens = [browser.token() for browser in browsers]

    def send(browser: Browser, name: str, csrf: str) -> str:
        start.wait()
        form = {**FORM, "name": name, "token": token, "csrf_token": csrf}
        return browser.client.post("/setup", data=form).location

    with ThreadPoolExecutor(2) as pool:
        places = sorted(pool.map(send, browsers, ("ada", "eve"), tokens))
    assert places == ["/", "/login"]
    assert len(names(engine)) == 1


@pytest.mark.parametrize("token", ["", "nonsense", "ImZpcnN0IGFjY291bnQi.aaaaaa.bbbbbbbb"])
def test_without_a_valid_link_there_is_no_account(visitor, engine, token):
    assert "flask setup-link" in visitor.get(f"/setup?token={token}", status=403).text
    assert visitor.post("/setup", {**FORM, "token": token}).status_code == 403
    assert names(engine) == []


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"name": "a b"}, "name", "letters"),
        ({"password": "short", "repeated": "short"}, "password", "8"),
        ({"repeated": "something else"}, "repeated", "the same password twice"),
        ({"timezone": "Mars/Olympus"}, "timezone", "Asia/Seoul"),
    ],
)
def test_a_bad_field_is_named_and_what_was_typed_stays(visitor, settings, engine, change, field, words):
    answer = visitor.post("/setup", {**FORM, "token": setup_token(settings), **change})
    assert answer.status_code == 422
    page = answer.get_data(as_text=True)
    assert words in page
    assert f'id="{field}-hint"><span class="field-error">' in page
    assert PASSWORD not in page
    assert names(engine) == []


def test_all_bad_fields_are_named_at_once(visitor, settings, engine):
    wrong = {"name": "a b", "password": "short", "repeated": "other", "timezone": "Mars/Olympus"}
    page = visitor.post("/setup", {**FORM, "token": setup_token(settings), **wrong}).get_data(as_text=True)
    assert [field for field in FORM if f'id="{field}-hint"><span class="field-error">' in page] == list(FORM)
    assert names(engine) == []


def test_log_in_and_out(visitor, users):
    assert "Log in" in visitor.get("/login").text
    answer = visitor.post("/login", {"name": " ADA ", "password": PASSWORD, "next": "/backtests"})
    assert answer.location == "/backtests"
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie
    visitor.get("/backtests")
    assert visitor.post("/logout").location == "/login"
    assert visitor.client.get("/backtests").location == "/login?next=/backtests"


def test_over_https_the_cookie_is_secure(visitor, users):
    page = visitor.client.get("/login", base_url="https://localhost")
    assert "Secure" in page.headers["Set-Cookie"]


@pytest.mark.parametrize("name", ["ada", "nobody", "", "x" * 5000])
def test_a_wrong_password_says_as_little_as_an_unknown_name(visitor, users, name):
    answer = visitor.post("/login", {"name": name, "password": "wrong"})
    assert answer.status_code == 422
    assert "The name or the password is wrong." in answer.get_data(as_text=True)


def test_guessing_is_slowed_down(visitor, users, engine):
    refused_log_ins(engine, 8)
    codes = [visitor.post("/login", {"name": "ada", "password": "wrong"}).status_code for _ in range(3)]
    assert codes == [422] * 2 + [429]
    assert visitor.post("/login", {"name": "ada", "password": PASSWORD}).status_code == 429


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil", "javascript:alert(1)", "/\tevil",
     "/a\r\nX: y", "backtests", "http:evil.example", "/\\/evil.example"],
)  # fmt: skip
def test_next_never_leads_away(visitor, users, target):
    answer = visitor.post("/login", {"name": "ada", "password": PASSWORD, "next": target})
    assert answer.location == "/"


def test_a_disabled_account_is_out_at_once(admin, engine, users):
    admin.get("/")
    with session_scope(engine) as session:
        session.get(User, users["ada"]).active = False
    assert admin.client.get("/").location == "/login"


def test_without_an_account_the_login_page_says_what_to_do(visitor):
    assert "flask setup-link" in visitor.get("/login").text


def test_a_probe_for_the_headers_is_no_attempt_to_log_in(visitor, users, settings):
    assert visitor.client.head("/login").status_code == visitor.client.get("/login").status_code == 200
    link = f"/setup?token={setup_token(settings)}"
    assert visitor.client.head(link).status_code == visitor.client.get(link).status_code
