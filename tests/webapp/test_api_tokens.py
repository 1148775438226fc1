"""Tokens: made by people, used by programs, with their owner's role and a scope of their own."""

import logging
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from storage_core import api_tokens, backtests
from storage_core.db import session_scope
from storage_core.models import ApiToken, User
from tests.webapp import results
from tests.webapp.programs import Program, make_token


@pytest.fixture
def token(engine, users):
    return make_token(engine, users["tom"])


def stored(engine) -> ApiToken:
    with session_scope(engine) as session:
        return session.scalars(select(ApiToken)).one()


def test_a_token_needs_neither_a_session_nor_a_csrf_token(app, engine, users, token):
    task_id = results.queue(engine, owner_id=users["tom"])
    program = Program(app, token)
    assert program("GET", f"/backtests/{task_id}").status_code == 200
    answer = program("POST", f"/backtests/{task_id}/cancel")
    assert (answer.status_code, answer.json["status"]) == (202, "cancelled")
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("POST", "/api/v1/backtests/{id}/cancel"),
        ("PATCH", "/api/v1/backtests/{id}"),
        ("DELETE", "/api/v1/backtests/{id}"),
        ("POST", "/api/v1/backtests"),
        ("POST", "/account/tokens"),
    ],
)
def test_a_session_still_needs_its_csrf_token(trader, engine, users, method, address):
    task_id = results.queue(engine, owner_id=users["tom"])
    answer = trader.client.open(address.format(id=task_id), method=method, json={"note": "x"})
    assert answer.status_code == 400
    assert "too old or came from elsewhere" in answer.get_data(as_text=True)
    with session_scope(engine) as session:
        assert session.scalars(select(ApiToken)).all() == []
        assert backtests.get(session, task_id).status == "queued"


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Bearer chts_nonsense", "Basic dG9tOnRvbQ==", "chts_", "Bearer " + "x" * 5000, "é"]
)
def test_nonsense_is_401_and_says_how_to_do_it(app, trader, header):
    answer = trader.client.get("/api/v1/data", headers={"Authorization": header})
    assert (answer.status_code, answer.mimetype) == (401, "application/problem+json"), "the session must not help out"
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="coin-hts"')


def test_without_anything_it_is_401_too(app):
    answer = Program(app, None)("GET", "/data")
    assert (answer.status_code, answer.json["code"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="coin-hts"'


@pytest.mark.parametrize(
    "change",
    [
        {ApiToken.revoked_at: datetime(2024, 1, 1, tzinfo=UTC)},
        {ApiToken.expires_at: datetime(2024, 1, 1, tzinfo=UTC)},
        {User.active: False},
    ],
)
def test_a_dead_token_is_refused(app, engine, token, change):
    assert Program(app, token)("GET", "/data").status_code == 200
    (column,) = change
    with session_scope(engine) as session:
        session.execute(update(column.class_).values(change))
    answer = Program(app, token)("GET", "/data")
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_a_scope_that_is_too_small_is_named(app, engine, users, bars):
    task_id = results.queue(engine, owner_id=users["tom"])
    program = Program(app, make_token(engine, users["tom"], "read"))
    assert program("GET", f"/backtests/{task_id}").status_code == 200
    answer = program("POST", f"/backtests/{task_id}/cancel")
    assert (answer.status_code, answer.json["code"]) == (403, "scope_missing")
    assert (answer.json["scope"], answer.json["has"]) == ("write", "read")
    assert 'scope="write"' in answer.headers["WWW-Authenticate"]


def test_the_role_still_counts(app, engine, users):
    task_id = results.queue(engine, owner_id=users["vera"])
    for scope in ("write", "admin"):
        answer = Program(app, make_token(engine, users["vera"], scope))("POST", f"/backtests/{task_id}/cancel")
        assert (answer.status_code, answer.json["code"]) == (403, "forbidden")


def test_only_the_scope_admin_sees_what_an_admin_sees(app, engine, users):
    task_id = results.queue(engine, owner_id=users["tom"])
    for scope, status in (("read", 404), ("write", 404), ("admin", 200)):
        assert (
            Program(app, make_token(engine, users["ada"], scope))("GET", f"/backtests/{task_id}").status_code == status
        )
    stranger = Program(app, make_token(engine, users["vera"], "admin"))
    assert stranger("GET", f"/backtests/{task_id}").status_code == 404


def test_a_token_opens_no_page(app, engine, token):
    headers = {"Authorization": f"Bearer {token}"}
    for address in ("/", "/backtests", "/account", "/api/docs"):
        assert app.test_client().get(address, headers=headers).status_code in (303, 404), address
    sent = app.test_client().post("/logout", headers=headers)
    assert (sent.status_code, sent.headers["Location"].partition("?")[0]) == (303, "/login")


def test_only_a_digest_is_stored_and_the_last_use_is_noted(app, engine, token):
    row = stored(engine)
    assert row.sha256 == api_tokens.digest(token)
    assert token not in str(vars(row))
    assert row.hint == token[:9]
    assert row.last_used_at is None
    Program(app, token)("GET", "/data")
    first = stored(engine).last_used_at
    assert datetime.now(UTC) - first < timedelta(seconds=30)
    Program(app, token)("GET", "/data")
    assert stored(engine).last_used_at == first, "a second use within the minute costs no write"


def test_no_log_and_no_answer_holds_the_token(app, engine, users, token, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("sqlalchemy.engine").setLevel(logging.INFO)
    program = Program(app, token)
    task_id = results.queue(engine, owner_id=users["tom"])
    answers = [program("GET", "/data"), program("GET", "/nowhere"), program("POST", f"/backtests/{task_id}/cancel", {})]
    monkeypatch.setattr("webapp.api.catalogue.bar_store", lambda: 1 / 0)
    app.testing = False
    answers.append(program("GET", "/data"))
    logging.getLogger("sqlalchemy.engine").setLevel(logging.NOTSET)
    assert [answer.status_code for answer in answers] == [200, 404, 202, 500]
    assert caplog.records
    assert not [record for record in caplog.records if token in record.getMessage()]
    assert token not in caplog.text
    assert not [answer for answer in answers if token in answer.get_data(as_text=True)]


def test_the_account_page_makes_shows_once_and_revokes(app, trader, engine):
    trader.get("/account")
    answer = trader.post("/account/tokens", {"name": "laptop", "scope": "write", "days": "30"})
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    text = answer.get_data(as_text=True).partition('id="new-token">')[2].partition("<")[0]
    assert Program(app, text)("GET", "/data").status_code == 200
    page = trader.get("/account")
    assert "laptop" in page.text
    assert text not in page.html
    assert text[:9] in page.html
    row = stored(engine)
    assert row.expires_at - row.created_at == timedelta(days=30)
    assert trader.post(f"/account/tokens/{row.id}/revoke").status_code == 303
    assert "revoked" in trader.get("/account").text
    assert Program(app, text)("GET", "/data").status_code == 401


def test_nobody_revokes_the_token_of_another(admin, engine, token):
    assert admin.post(f"/account/tokens/{stored(engine).id}/revoke").status_code == 404
    assert stored(engine).revoked_at is None


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"name": "", "scope": "read", "days": "30"}, "name"),
        ({"name": "x\x07", "scope": "read", "days": "30"}, "name"),
        ({"name": "x", "scope": "root", "days": "30"}, "scope"),
        ({"name": "x", "scope": "read", "days": "0"}, "days"),
        ({"name": "x", "scope": "read", "days": "1e9"}, "days"),
        ({"name": "x", "scope": "read", "days": "99999"}, "days"),
    ],
)
def test_a_bad_form_says_what_is_allowed(trader, engine, form, field):
    answer = trader.post("/account/tokens", form)
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.get_data(as_text=True)
    with session_scope(engine) as session:
        assert session.scalars(select(ApiToken)).all() == []


def test_the_command_prints_a_token(app, engine, users):
    runner = app.test_cli_runner()
    answer = runner.invoke(args=["create-token", "Tom", "--scope", "write", "--days", "7", "--label", "cron"])
    assert answer.exit_code == 0, answer.output
    assert Program(app, answer.output.strip())("GET", "/data").status_code == 200
    assert stored(engine).name == "cron"
    for arguments, words in (
        (["nobody"], "no active account named nobody"),
        (["tom", "--days", "0"], "days is 0"),
        (["tom", "--scope", "root"], "read"),
    ):
        refused = runner.invoke(args=["create-token", *arguments])
        assert refused.exit_code != 0
        assert words in refused.output
