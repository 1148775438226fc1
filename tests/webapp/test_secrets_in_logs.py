"""Nothing that lets somebody in is in a log or an error: a whole life of an account, then a search for its secrets."""

import io
import logging
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from storage_core.accounts import setup_token
from storage_core.db import session_scope
from storage_core.models import ApiToken, AuditEntry, User
from tests.webapp.conftest import PASSWORD, Browser
from tests.webapp.page import Page
from tests.webapp.programs import Program

NEW = "another horse entirely"
MISTYPED = "a-password-in-the-wrong-field"


@pytest.fixture
def every_log(capfd, monkeypatch):
    """What all loggers and both streams have said, at the loudest."""
    opened = FlaskClient.open  # a request is logged when its answer has been sent to the end
    monkeypatch.setattr(FlaskClient, "open", lambda *args, **more: opened(*args, **{**more, "buffered": True}))
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    loggers = [logging.getLogger(name) for name in (None, "access")]
    levels = [logger.level for logger in loggers]
    loggers[0].addHandler(handler)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)

    def said() -> str:
        out, err = capfd.readouterr()
        return heard.getvalue() + out + err

    yield said
    loggers[0].removeHandler(handler)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def test_no_secret_is_in_any_log(app, settings, engine, every_log):
    secrets = {settings.secret_key, PASSWORD, NEW, MISTYPED}
    ada, tom = Browser(app), Browser(app)
    link = setup_token(settings)
    form = {"name": "ada", "password": PASSWORD, "repeated": PASSWORD, "timezone": "UTC", "token": link}
    assert ada.post("/setup", form).status_code == 303
    shown = ada.post("/users", {"name": "tom", "role": "trader", "access": "link"})
    invitation = Page(shown.get_data(as_text=True)).by_id("account-link").text.partition("token=")[2]
    tom.get(f"/welcome?token={invitation}")
    assert tom.post("/welcome", {"token": invitation, "password": NEW, "repeated": NEW}).status_code == 303
    made = ada.post("/account/tokens", {"name": "x", "scope": "write", "days": "9"})
    token = Page(made.get_data(as_text=True)).by_id("new-token").text
    program = Program(app, token)
    assert program("GET", "/backtests").status_code == 200
    assert program("POST", "/backtests/async", {"strategy": "nothing", "token": token}).status_code == 422
    Program(app, token[:-1] + "x")("GET", "/backtests")
    ada.post("/account/password", {"current": NEW, "password": NEW, "repeated": NEW})
    Browser(app).post("/login", {"name": MISTYPED, "password": PASSWORD})
    cookies = [browser.client.get_cookie("coin_hts").value for browser in (ada, tom)]
    with session_scope(engine) as session:
        stored = [*session.scalars(select(User.password_hash)), *session.scalars(select(ApiToken.sha256))]
        audited = str([vars(entry) for entry in session.scalars(select(AuditEntry))])
    secrets |= {link, invitation, token, ada.token(), tom.token(), *cookies, *stored}
    log = every_log()
    assert "/account/tokens" in log, "the log was heard"
    for secret in secrets:
        assert len(secret) > 10
        assert secret not in log
        assert secret not in audited
    assert "account.login_failed" in audited


def test_a_database_error_does_not_tell_the_values(engine, settings, users):
    with pytest.raises(OperationalError) as caught, engine.begin() as connection:
        connection.execute(text("UPDATE users SET nothing = :value"), {"value": "a hash of a password"})
    assert "a hash of a password" not in str(caught.value)


def test_settings_do_not_tell_their_secrets(settings):
    shown = repr(replace(settings, database_url="postgresql://u:pw-in-url@h/d", redis_url="redis://:pw-in-redis@h"))
    for secret in (settings.secret_key, "pw-in-url", "pw-in-redis"):
        assert secret not in shown


def test_a_line_break_in_a_name_makes_no_line_in_the_log(app, users, engine, every_log):
    browser = Browser(app)
    browser.post("/login", {"name": "eve\r\n2026-01-01 [info] admin logged in", "password": "wrong"})
    browser.client.get("/nowhere%0d%0a2026-01-01%20[info]%20admin%20logged%20in")
    log = every_log()
    assert "admin logged in" in log
    assert not [line for line in log.splitlines() if line.startswith("2026-01-01 [info] admin")]


def test_links_that_let_somebody_in_are_not_passed_on(app, settings):
    answer = app.test_client().get(f"/setup?token={setup_token(settings)}")
    assert answer.headers["Referrer-Policy"] == "same-origin"
    page = Page(answer.get_data(as_text=True))
    for element in page.elements:
        for name in ("src", "href", "action"):
            assert not urlsplit(element.get(name) or "").netloc, "nothing of another site is on the page"
