"""Run again and verify, on the setup tab; and the log in words."""

from datetime import UTC, datetime
from typing import get_args
from uuid import UUID

import pytest

from storage_core import backtests
from storage_core.db import session_scope
from storage_core.events import Kind
from storage_core.models import Backtest, BacktestEvent
from storage_core.strategy_lines import LOST
from tests.webapp import results
from webapp.context.events import EVENT_WORDS, ctx_events
from webapp.context.rows import state_words

DIFFERENT = {
    "outcome": "different",
    "first_difference": {
        "what": "bar", "symbol": "KRW-BTC", "index": 119, "at": "2024-01-05 23:00:00+00:00", "column": "equity",
        "was": "10000.0", "now": "10000.5",
    },
    "changed": {
        "strategy": ["a" * 64, "b" * 64], "data": {"KRW-BTC": ["c" * 64, "d" * 64]},
        "libraries": {"numpy": ["1.0", "2.0"]},
    },
}  # fmt: skip


@pytest.fixture
def asked(admin, engine, completed):
    """A finished backtest, and the run that ada asked to verify it."""
    address = completed()
    assert admin.post(f"{address}/verification").location == f"{address}/setup"
    with session_scope(engine) as session:
        again = backtests.events(session, UUID(address.rpartition("/")[2]))[-1].detail["task_id"]
    return address, UUID(again)


def end(engine, task_id, **found):
    """The second run completes, and found this."""
    with session_scope(engine) as session:
        row = backtests.get(session, task_id)
        row.status, row.metadata_ = "completed", {"verification": {**row.metadata_["verification"], **found}}


def test_it_is_offered_followed_and_told(admin, engine, completed):
    address = completed()
    page = admin.get(f"{address}/setup")
    assert "compares every bar, trade and figure" in page.text
    assert [button.text for button in page.find("form", action=f"{address}/verification")[0].iter("button")] == [
        "Verify"
    ]
    admin.post(f"{address}/verification")
    live = admin.get(f"{address}/verification", htmx=True)
    assert "waiting for a worker" in live.text
    assert live.by_id("verification").get("hx-trigger") == "load delay:1s"
    assert not live.find("form")
    with session_scope(engine) as session:
        asked = backtests.events(session, UUID(address.rpartition("/")[2]))[-1]
        again = UUID(asked.detail["task_id"])
    assert (asked.kind, asked.actor) == ("verify_asked", "ada")
    end(engine, again, outcome="identical", changed={})
    done = admin.get(f"{address}/verification", htmx=True)
    assert "Identical: every bar, trade and figure, to the last bit." in done.text
    assert done.by_id("verification").get("hx-get") is None
    assert done.find("a", href=f"/backtests/{again}")
    assert "Run again to verify by ada" in admin.get(f"{address}/setup").text


def test_a_difference_is_named_with_what_changed(admin, engine, asked):
    address, again = asked
    end(engine, again, **DIFFERENT)
    text = admin.get(f"{address}/setup").text
    assert "First at KRW-BTC, bar 120: equity (2024-01-06 08:00) was 10000.0, is now 10000.5." in text
    for words in (
        "code of the strategy aaaaaaaaaaaa → bbbbbbbbbbbb",
        "bars of KRW-BTC cccccccccccc",
        "numpy 1.0 → 2.0",
    ):
        assert words in text


def test_a_difference_without_a_reason_is_said_to_be_one_to_report(admin, engine, asked):
    address, again = asked
    end(engine, again, **{**DIFFERENT, "changed": {}})
    assert "this should not happen" in admin.get(f"{address}/setup").text


def test_a_run_that_failed_or_was_deleted_verified_nothing(admin, engine, asked):
    address, again = asked
    with session_scope(engine) as session:
        backtests.cancel(session, again, by="ada")
    assert "did not complete: it was cancelled" in admin.get(f"{address}/setup").text
    with session_scope(engine) as session:
        session.delete(session.get(Backtest, again))
    assert "has been deleted" in admin.get(f"{address}/setup").text


def test_the_second_run_tells_of_itself(admin, engine, settings, users, asked):
    address, _ = asked
    of = address.rpartition("/")[2]
    second = results.complete(engine, settings, owner_id=users["ada"], source="verify")
    with session_scope(engine) as session:
        row = backtests.get(session, second)
        row.metadata_ = {**row.metadata_, "verification": {"of": of, "outcome": "identical", "changed": {}}}
    page = admin.get(f"/backtests/{second}/setup")
    assert page.find("a", href=address)
    assert "Identical: every bar" in page.text


def test_who_may_not_run_does_not_see_the_button(viewer, engine, settings, users):
    mine = results.complete(engine, settings, owner_id=users["vera"])
    assert not viewer.get(f"/backtests/{mine}/setup").find("form", action=f"/backtests/{mine}/verification")
    assert viewer.post(f"/backtests/{mine}/verification").status_code == 403


def test_what_is_not_completed_is_not_verified(admin, engine, users):
    waits = results.queue(engine, owner_id=users["ada"])
    assert admin.post(f"/backtests/{waits}/verification").status_code == 303
    with session_scope(engine) as session:
        assert backtests.counts(session)["queued"] == 1


def test_there_are_words_for_every_kind_of_event():
    assert set(EVENT_WORDS) == set(get_args(Kind))


def event(kind, attempt=None, actor="", **detail):
    return BacktestEvent(at=datetime(2026, 1, 1, tzinfo=UTC), kind=kind, attempt=attempt, actor=actor, detail=detail)


def test_the_log_counts_attempts_as_the_backtest_does(app):
    log = [
        event("claimed", 1, "m1:7"),
        event("released", 1, "m1:7", reason="the worker was told to stop", counts=False),
        event("claimed", 2, "m1:7"),
        event("released", 2, "m1:7", reason="busy", counts=True, again_in_seconds=2.0),
        event("claimed", 3, "m1:7"),
        event("requeued", 3, "clock", silent_for_seconds=15.0),
        event("claimed", 4, "m1:7"),
        event("failed", 4, "m1:7", message="no"),
        event("retried", 4, "kim"),
        event("claimed", 5, "m1:7"),
        event("side_missing", 5, parquet="OSError: full"),
        event("repaired", None, "repair", done="parquet written"),
    ]
    with app.test_request_context():
        said = [f"{line['words']}: {line['detail']}" for line in ctx_events(log)]
    assert said == [
        "Started: attempt 1 of 3 · by m1:7",
        "Given back: attempt 1 of 3 · the worker was told to stop",
        "Started: attempt 1 of 3 · by m1:7",
        "Given back: attempt 1 of 3 · busy · again in 2 s",
        "Started: attempt 2 of 3 · by m1:7",
        "Queued again: attempt 2 of 3 · no sign of life for 15 s",
        "Started: attempt 3 of 3 · by m1:7",
        "Failed: attempt 3 of 3 · no",
        "Another chance: by kim",
        "Started: attempt 1 of 3 · by m1:7",
        "Stored in part: attempt 1 of 3 · parquet could not be written: OSError: full",
        "Repaired: parquet written",
    ]


@pytest.mark.parametrize(
    ("status", "attempt", "excused", "words"),
    [
        ("queued", 0, 0, "waiting for a worker"),
        ("queued", 1, 1, "waiting for a worker"),
        ("queued", 2, 1, "waiting for attempt 2 of 3"),
        ("running", 5, 3, "attempt 2 of 3 · 0% · starting"),
        ("running", 1, 0, "0% · starting"),
    ],
)
def test_the_state_says_which_attempt_of_three(app, status, attempt, excused, words):
    row = Backtest(status=status, attempt=attempt, excused=excused, progress=0.0, phase="")
    with app.test_request_context():
        assert state_words(row, datetime(2026, 1, 1, tzinfo=UTC)) == words


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({"lines": "identical"}, "Identical: every bar, trade, figure and line, to the last bit."),
        ({"lines": "restored"}, "to the last bit. Its lines had been lost and have been put back."),
        ({"lines": "lost", "lines_reason": "the code of the strategy has changed"},
         "Its lines are lost and were not put back: the code of the strategy has changed."),
    ],
)  # fmt: skip
def test_what_became_of_the_lines_is_said(admin, engine, asked, found, says):
    address, again = asked
    end(engine, again, outcome="identical", changed={}, **found)
    assert says in admin.get(f"{address}/setup").text


def test_a_difference_of_lines_is_named(admin, engine, asked):
    address, again = asked
    line = {**DIFFERENT["first_difference"], "what": "line", "column": "Mean 2"}
    end(engine, again, **{**DIFFERENT, "first_difference": line})
    assert "First at KRW-BTC, bar 120: Mean 2 (2024-01-06 08:00) was 10000.0" in admin.get(f"{address}/setup").text
    lines = {**line, "what": "lines", "symbol": "", "index": None, "at": None, "was": "Mean 2 (price)", "now": None}
    end(engine, again, **{**DIFFERENT, "first_difference": lines})
    said = "First at the lines of the strategy was Mean 2 (price), is now nothing."
    assert said in admin.get(f"{address}/setup").text


def test_a_chart_whose_lines_are_lost_says_how_to_get_them_back(admin, engine, completed):
    address = completed()
    with session_scope(engine) as session:
        row = backtests.get(session, UUID(address.rpartition("/")[2]))
        row.metadata_ = {**row.metadata_, "lines": {"drawn": [], "problem": LOST}}
    assert admin.get(f"{address}/chart").find("a", href=f"{address}/setup#verification")
