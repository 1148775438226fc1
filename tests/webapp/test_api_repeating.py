"""Waiting for a result, and requests that are sent twice."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from uuid import UUID

import pytest
from sqlalchemy import select, update

from storage_core import already_run, backtests
from storage_core.db import session_scope, utc_now
from storage_core.models import Backtest, IdempotencyKey
from storage_core.verification import create_verification
from tests.services import wait_for
from tests.webapp import results
from tests.webapp.programs import Program, make_token
from tests.webapp.test_api import SPEC, count
from webapp import submission
from webapp.api import waiting


@pytest.fixture
def tom(app, engine, users):
    return Program(app, make_token(engine, users["tom"]))


def queued(engine) -> UUID | None:
    with session_scope(engine) as session:
        return session.scalar(select(Backtest.task_id).where(Backtest.status == "queued"))


def fail(engine, task_id) -> None:
    claim = results.start(engine, task_id)
    with session_scope(engine) as session:
        backtests.fail(session, claim, code="bad_bars", message="a bar is missing")


def test_it_waits_for_the_result(tom, bars, engine):
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(tom, "POST", "/backtests?wait=60", SPEC)
        task_id = wait_for(lambda: queued(engine))
        assert not wait([answer], timeout=0.1).done
        fail(engine, task_id)
        done = answer.result(timeout=60)
    assert (done.status_code, done.json["status"]) == (200, "failed")
    assert (done.json["task_id"], done.json["error_code"]) == (str(task_id), "bad_bars")


def test_when_the_time_is_over_it_is_202(tom, bars):
    started = time.monotonic()
    answer = tom("POST", "/backtests?wait=0.3", SPEC)
    assert time.monotonic() - started >= 0.3
    assert (answer.status_code, answer.json["status"]) == (202, "queued")
    assert answer.headers["Location"] == answer.json["status_url"]


@pytest.mark.parametrize("wait", ["-1", "61", "nan", "soon", "1_0"])
def test_a_bad_wait_is_refused(tom, bars, engine, wait):
    answer = tom("POST", f"/backtests?wait={wait}", SPEC)
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "wait")
    assert count(engine) == 0


def test_when_all_seats_are_taken_nobody_waits(app, tom, bars, monkeypatch):
    seats = threading.BoundedSemaphore(1)
    seats.acquire()
    monkeypatch.setitem(app.extensions, "api_seats", seats)
    monkeypatch.setattr(waiting.time, "sleep", lambda seconds: pytest.fail("it waits"))
    assert tom("POST", "/backtests?wait=60", SPEC).status_code == 202


def test_reuse_gives_the_result_that_is_there(tom, bars, engine, settings, users):
    task_id = results.complete(engine, settings, owner_id=users["tom"])
    spec = results.spec()
    data = already_run.data_fingerprints(bars, spec)
    from engine.catalog import STRATEGIES
    from storage_core.sources import engine_sha256, shipped_strategy_sha256

    key = already_run.run_key(
        spec,
        strategy_sha256=shipped_strategy_sha256(STRATEGIES["sma_cross"].signals),
        engine_sha256=engine_sha256(),
        data=data,
    )
    with session_scope(engine) as session:
        session.execute(update(Backtest).where(Backtest.task_id == task_id).values(run_key=key))
    for address in ("/backtests?reuse=true&wait=0", "/backtests/async?reuse=true"):
        answer = tom("POST", address, spec)
        assert (answer.status_code, answer.json["task_id"]) == (200, str(task_id)), address
    assert count(engine) == 1
    assert tom("POST", "/backtests/async", spec).status_code == 202
    other = tom("POST", "/backtests/async?reuse=true", {**spec, "initial_cash": 5})
    assert other.status_code == 202


def test_the_same_key_gives_the_same_answer(tom, bars, engine):
    first = tom("POST", "/backtests/async", SPEC, Idempotency_Key="one")
    again = tom("POST", "/backtests/async", dict(reversed(SPEC.items())), Idempotency_Key="one")
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json == first.json
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert count(engine) == 1


@pytest.mark.parametrize(
    ("address", "body"),
    [("/backtests/async", {**SPEC, "initial_cash": 5}), ("/backtests/async?reuse=true", SPEC), ("/backtests", SPEC)],
)
def test_the_same_key_for_another_request_is_refused(tom, bars, engine, address, body):
    tom("POST", "/backtests/async", SPEC, Idempotency_Key="one")
    answer = tom("POST", address, body, Idempotency_Key="one")
    assert (answer.status_code, answer.json["code"]) == (422, "idempotency_mismatch")
    assert count(engine) == 1


def test_another_person_may_use_the_same_key(app, tom, bars, engine, users):
    first = tom("POST", "/backtests/async", SPEC, Idempotency_Key="one")
    other = Program(app, make_token(engine, users["ada"]))("POST", "/backtests/async", SPEC, Idempotency_Key="one")
    assert first.json["task_id"] != other.json["task_id"]


def test_a_refused_request_frees_its_key(app, tom, bars, engine, users):
    assert tom("POST", "/backtests/async", {**SPEC, "strategy": "x"}, Idempotency_Key="one").status_code == 422
    assert tom("POST", "/backtests/async", SPEC, Idempotency_Key="one").status_code == 202
    viewer = Program(app, make_token(engine, users["vera"]))
    assert viewer("POST", "/backtests/async", SPEC, Idempotency_Key="one").status_code == 403
    assert count(engine) == 1


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 256])
def test_a_bad_key_is_refused(tom, bars, key):
    answer = tom("POST", "/backtests/async", SPEC, Idempotency_Key=key)
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "Idempotency-Key")


def test_many_at_once_make_one_backtest(app, tom, bars, engine):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: tom("POST", "/backtests/async", SPEC, Idempotency_Key="one"), range(8)))
    assert count(engine) == 1
    made = {answer.json["task_id"] for answer in answers if answer.status_code == 202}
    assert len(made) == 1
    refused = {(answer.status_code, answer.json["code"]) for answer in answers if answer.status_code != 202}
    assert refused <= {(409, "idempotency_running")}
    assert tom("POST", "/backtests/async", SPEC, Idempotency_Key="one").json["task_id"] in made


def test_a_process_that_died_after_the_commit_leaves_one_backtest(app, tom, bars, engine, monkeypatch):
    def die(_backtest):
        raise RuntimeError("the power went out")

    app.testing = False
    with monkeypatch.context() as patch:
        patch.setattr(submission, "dispatch", die)
        assert tom("POST", "/backtests/async", SPEC, Idempotency_Key="one").status_code == 500
    assert count(engine) == 1
    again = tom("POST", "/backtests/async", SPEC, Idempotency_Key="one")
    assert again.status_code == 202
    with session_scope(engine) as session:
        assert str(session.scalars(select(Backtest.task_id)).one()) == again.json["task_id"]


def test_who_goes_on_with_a_request_that_is_still_at_work_makes_no_second_backtest(tom, bars, engine, monkeypatch):
    """The first was only slow, and both find that there is none yet."""
    create, made = backtests.create, []

    def just_after_the_other(session, **options):
        with session_scope(engine) as other:
            made.append(str(create(other, **options).task_id))
        return create(session, **options)

    monkeypatch.setattr(backtests, "create", just_after_the_other)
    answer = tom("POST", "/backtests/async", SPEC, Idempotency_Key="one")
    assert (answer.status_code, [answer.json["task_id"]]) == (202, made)
    assert count(engine) == 1


def test_who_goes_on_with_a_verification_that_is_still_at_work_makes_no_second_one(
    tom, engine, settings, users, monkeypatch
):
    task_id, made = results.complete(engine, settings, owner_id=users["tom"]), []

    def just_after_the_other(session, *which, **options):
        with session_scope(engine) as other:
            made.append(str(create_verification(other, *which, **options).task_id))
        return create_verification(session, *which, **options)

    monkeypatch.setattr("webapp.api.backtests.create_verification", just_after_the_other)
    answer = tom("POST", f"/backtests/{task_id}/verify", Idempotency_Key="v")
    assert (answer.status_code, [answer.json["task_id"]]) == (202, made)


def test_while_the_first_is_worked_on_the_second_is_told_to_wait(tom, bars, engine, monkeypatch):
    monkeypatch.setattr("webapp.api.repeating.PATIENCE", 0.2)
    tom("POST", "/backtests/async", SPEC, Idempotency_Key="one")
    with session_scope(engine) as session:
        session.execute(update(IdempotencyKey).values(answer=None, locked_until=utc_now().replace(year=2999)))
    answer = tom("POST", "/backtests/async", SPEC, Idempotency_Key="one")
    assert (answer.status_code, answer.json["code"]) == (409, "idempotency_running")
    assert answer.headers["Retry-After"] == "1"


def test_verify_cancel_and_restore_take_a_key_too(tom, engine, settings, users):
    task_id = results.complete(engine, settings, owner_id=users["tom"])
    verified = [tom("POST", f"/backtests/{task_id}/verify", Idempotency_Key="v").json["task_id"] for _ in range(2)]
    assert verified[0] == verified[1]
    assert count(engine) == 2
    cancelled = [tom("POST", f"/backtests/{verified[0]}/cancel", Idempotency_Key="c") for _ in range(2)]
    assert [answer.status_code for answer in cancelled] == [202, 202]
    assert tom("POST", f"/backtests/{verified[0]}/cancel").status_code == 409
