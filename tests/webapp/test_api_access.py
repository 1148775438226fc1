"""Every route of the API, and what it says to whom. A route that is not in the table fails a test."""

import re
from collections.abc import Callable
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import Engine

from storage_core import backtest_keeping, jobs, presets
from storage_core.db import session_scope, utc_now
from storage_core.fetch_request import KIND, parse_fetch
from tests.webapp import results
from tests.webapp.programs import Program, make_token
from tests.webapp.test_api import SPEC
from tests.workers.examples import spec

COMPLETED, QUEUED, DELETED, NONE, PRESET, JOB = "completed", "queued", "deleted", "none", "preset", "job"
FETCH = {"exchange": "upbit", "symbol": "KRW-BTC", "timeframe": "1h", "start": "2024-01-01"}
READ = {"anonymous": 401, "stranger": 404, "viewer": 200, "owner": 200, "admin": 200}
SHARED = {**READ, "stranger": 200}


def _writing(good: int, *, viewer: int = 403, stranger: int = 404) -> dict[str, int]:
    return {"anonymous": 401, "stranger": stranger, "viewer": viewer, "owner": good, "admin": good}


# method, address below /api/v1, what the id is of, the body, what each gets. The viewer owns what the address names.
TABLE = [
    ("POST", "/backtests?wait=0", NONE, SPEC, _writing(202, stranger=202)),
    ("POST", "/backtests/async", NONE, SPEC, _writing(202, stranger=202)),
    ("GET", "/backtests", NONE, None, SHARED),
    ("GET", "/backtests/{id}", COMPLETED, None, READ),
    ("GET", "/backtests/async/{id}/status", QUEUED, None, READ),
    ("POST", "/backtests/{id}/cancel", QUEUED, None, _writing(202)),
    ("POST", "/backtests/{id}/verify", COMPLETED, None, _writing(202)),
    ("POST", "/backtests/{id}/restore", DELETED, None, _writing(200)),
    ("PATCH", "/backtests/{id}", COMPLETED, {"note": "x"}, _writing(200)),
    ("DELETE", "/backtests/{id}", COMPLETED, None, _writing(200)),
    ("GET", "/backtests/{id}/trades", COMPLETED, None, READ),
    ("GET", "/backtests/{id}/equity", COMPLETED, None, READ),
    ("GET", "/backtests/{id}/export", COMPLETED, None, READ),
    ("GET", "/strategies", NONE, None, SHARED),
    ("GET", "/data", NONE, None, SHARED),
    ("GET", "/openapi.json", NONE, None, SHARED),
    ("GET", "/presets", NONE, None, SHARED),
    ("POST", "/presets", NONE, {"name": "calm", "strategy": "sma_cross"}, _writing(200, stranger=200)),
    ("DELETE", "/presets/{id}", PRESET, None, {**_writing(200), "admin": 404}),
    ("POST", "/data?symbol=KRW-XRP&timeframe=1h", NONE, None, _writing(415, stranger=415)),
    ("POST", "/data/fetch", NONE, FETCH, _writing(202, stranger=202)),
    ("GET", "/jobs/{id}", JOB, None, READ),
    ("POST", "/jobs/{id}/cancel", JOB, None, _writing(202)),
]
PEOPLE = ("anonymous", "stranger", "viewer", "owner", "admin")
CASES = [pytest.param(route, who, id=f"{route[0]} {route[1]} {who}") for route in TABLE for who in PEOPLE]


@pytest.fixture
def make(engine: Engine, settings) -> Callable[[str, int], UUID | int]:
    def made(state: str, owner_id: int) -> UUID | int:
        if state in (PRESET, JOB):
            with session_scope(engine) as session:
                if state == JOB:
                    args = parse_fetch(FETCH, inventory=[], now=utc_now()).as_args()
                    return jobs.create(session, kind=KIND, args=args, owner_id=owner_id).job_id
                return presets.save(session, owner_id=owner_id, name="calm", spec=spec()).id
        if state == QUEUED:
            return results.queue(engine, owner_id=owner_id)
        task_id = results.complete(engine, settings, owner_id=owner_id)
        if state == DELETED:
            with session_scope(engine) as session:
                backtest_keeping.delete(session, task_id, by="test")
        return task_id

    return made


def test_every_route_is_in_the_table(app: Flask):
    known = {(method, address.partition("?")[0]) for method, address, *_ in TABLE}
    routes = {
        (method, re.sub(r"<\w+:\w+>", "{id}", rule.rule.removeprefix("/api/v1")))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert routes == known


@pytest.mark.parametrize(("route", "who"), CASES)
def test_who_gets_what(app, engine, users, bars, make, route, who):
    method, address, state, body, answers = route
    status = answers[who]
    owner = {"viewer": users["vera"]}.get(who, users["tom"])
    if state != NONE:
        address = address.format(id=make(state, owner))
    person = {"stranger": "eve", "viewer": "vera", "owner": "tom", "admin": "ada"}.get(who)
    if person == "eve":
        users["eve"] = _eve(engine)
    program = Program(app, None if person is None else make_token(engine, users[person], "admin"))
    answer = program(method, address, body)
    assert answer.status_code == status, answer.get_data(as_text=True)[:500]
    if status >= 400:
        assert answer.mimetype == "application/problem+json"
        assert answer.json["status"] == status
    if status == 401:
        assert "WWW-Authenticate" in answer.headers
    else:
        assert int(answer.headers["RateLimit-Remaining"]) < int(answer.headers["RateLimit-Limit"])


def _eve(engine: Engine) -> int:
    from storage_core.models import User

    with session_scope(engine) as session:
        user = User(name="eve", role="trader", password_hash="x")
        session.add(user)
        session.flush()
        return user.id


@pytest.mark.parametrize(
    "route", [route for route in TABLE if route[0] != "GET"], ids=lambda route: " ".join(route[:2])
)
def test_a_token_that_may_only_read_changes_nothing(app, engine, users, bars, make, route):
    method, address, state, body, _ = route
    address = address.format(id=make(state, users["tom"])) if state != NONE else address
    answer = Program(app, make_token(engine, users["tom"], "read"))(method, address, body)
    assert (answer.status_code, answer.json["code"], answer.json["scope"]) == (403, "scope_missing", "write")


def test_what_belongs_to_nobody_is_for_all_to_read_and_for_admins_to_change(app, engine, settings, users):
    task_id = results.complete(engine, settings, owner_id=None)
    for person, status in (("tom", 403), ("vera", 403), ("ada", 200)):
        program = Program(app, make_token(engine, users[person], "admin"))
        assert program("GET", f"/backtests/{task_id}").status_code == 200
        assert program("PATCH", f"/backtests/{task_id}", {"note": "mine"}).status_code == status
    assert Program(app, make_token(engine, users["tom"]))("DELETE", f"/backtests/{task_id}").status_code == 403
