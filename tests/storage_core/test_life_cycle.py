"""One backtest through its states, and who may change it when."""

import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError, StatementError

from storage_core import backtests
from storage_core.db import session_scope
from storage_core.errors import BacktestNotFound, ClaimLost, NotCancellable
from storage_core.fair_queue import in_line
from storage_core.models import Backtest
from tests.storage_core.examples import claimed, kinds, queued, row, spec

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_created_as_asked(engine: Engine) -> None:
    task_id = queued(engine, symbols=["KRW-BTC", "KRW-ETH"], now=NOON)
    stored = row(engine, task_id)
    assert (stored.status, stored.strategy, stored.timeframe, stored.source) == ("queued", "sma_cross", "1h", "web")
    assert stored.symbols == ["KRW-BTC", "KRW-ETH"]
    assert stored.params == {"fast": 10, "slow": 30}
    assert stored.spec == spec(symbols=["KRW-BTC", "KRW-ETH"])
    assert (stored.start_date.isoformat(), stored.end_date.isoformat()) == ("2024-01-01", "2024-02-01")
    assert (stored.created_at, stored.queued_at, stored.attempt, stored.progress) == (NOON, NOON, 0, 0.0)
    assert kinds(engine, task_id) == ["submitted"]


def test_times_come_back_aware_in_utc(engine: Engine) -> None:
    seoul = datetime(2026, 3, 1, 21, 30, 15, 123456, tzinfo=timezone(timedelta(hours=9)))
    created = row(engine, queued(engine, now=seoul)).created_at
    assert created == seoul
    assert created.tzinfo is UTC
    assert created.microsecond == 123456


def test_a_time_without_zone_is_refused(engine: Engine) -> None:
    with pytest.raises(StatementError, match="needs a time zone"):
        queued(engine, now=datetime(2026, 3, 1))  # noqa: DTZ001


def test_unknown_source_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="source is 'email'"), session_scope(engine) as session:
        backtests.create(session, spec=spec(), owner_id=None, source="email")


def test_start_after_end_is_refused_by_the_database(engine: Engine) -> None:
    with pytest.raises(IntegrityError):
        queued(engine, start_date="2024-02-02", end_date="2024-02-01")


def test_unknown_status_is_refused_by_the_database(engine: Engine) -> None:
    queued(engine)
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text("UPDATE backtest_results SET status = 'done'"))


def test_one_task_id_is_one_row(engine: Engine) -> None:
    task_id = queued(engine)
    with pytest.raises(IntegrityError), session_scope(engine) as session:
        backtests.create(session, spec=spec(), owner_id=None, source="web", task_id=task_id)


def test_updated_at_moves_with_every_change(engine: Engine) -> None:
    task_id = queued(engine, now=NOON)
    assert row(engine, task_id).updated_at == NOON
    claimed(engine, task_id)
    assert row(engine, task_id).updated_at > NOON


def test_claim_takes_the_row_once(engine: Engine) -> None:
    task_id = queued(engine)
    with session_scope(engine) as session:
        claim = backtests.claim(session, task_id, worker="one", now=NOON)
        assert backtests.claim(session, task_id, worker="two") is None
    assert claim == backtests.Claim(task_id, 1, spec(), "one")
    stored = row(engine, task_id)
    assert (stored.status, stored.attempt, stored.started_at, stored.heartbeat_at) == ("running", 1, NOON, NOON)
    assert kinds(engine, task_id) == ["submitted", "claimed"]


def test_nobody_claims_what_does_not_exist(engine: Engine) -> None:
    with session_scope(engine) as session:
        assert backtests.claim(session, uuid.uuid4(), worker="one") is None
        with pytest.raises(BacktestNotFound):
            backtests.get(session, uuid.uuid4())


def test_progress_is_kept_within_bounds(engine: Engine) -> None:
    claim = claimed(engine, now=NOON)
    with session_scope(engine) as session:
        backtests.set_progress(session, claim, progress=1.7, phase="simulating" * 9, now=NOON + timedelta(seconds=5))
    stored = row(engine, claim.task_id)
    assert (stored.progress, stored.heartbeat_at) == (1.0, NOON + timedelta(seconds=5))
    assert len(stored.phase) == 40
    with session_scope(engine) as session, pytest.raises(ValueError, match="not a number"):
        backtests.set_progress(session, claim, progress=float("nan"), phase="")


def test_failure_is_stored_whatever_the_message_holds(engine: Engine) -> None:
    claim = claimed(engine)
    with session_scope(engine) as session:
        backtests.fail(session, claim, code="no_bars", message="zero\x00byte \udcff" + "x" * 20_000)
    stored = row(engine, claim.task_id)
    assert (stored.status, stored.error_code) == ("failed", "no_bars")
    assert stored.error_message is not None
    assert stored.error_message.startswith("zerobyte \ufffdx")
    assert len(stored.error_message) == 10_000
    assert stored.finished_at is not None
    assert kinds(engine, claim.task_id) == ["submitted", "claimed", "failed"]


def test_released_goes_back_to_the_queue_for_another_attempt(engine: Engine) -> None:
    claim = claimed(engine)
    with session_scope(engine) as session:
        backtests.release(session, claim, reason="disk full")
    stored = row(engine, claim.task_id)
    assert (stored.status, stored.attempt, stored.heartbeat_at) == ("queued", 1, None)
    assert claimed(engine, claim.task_id).attempt == 2


def test_released_with_a_wish_to_stop_is_cancelled(engine: Engine) -> None:
    claim = claimed(engine)
    with session_scope(engine) as session:
        backtests.cancel(session, claim.task_id, by="kim")
        backtests.release(session, claim, reason="disk full")
    assert row(engine, claim.task_id).status == "cancelled"
    assert kinds(engine, claim.task_id)[-2:] == ["cancel_requested", "cancelled"]


def test_queued_is_cancelled_at_once(engine: Engine) -> None:
    task_id = queued(engine)
    with session_scope(engine) as session:
        assert backtests.cancel(session, task_id, by="kim").status == "cancelled"
        assert backtests.claim(session, task_id, worker="one") is None


def test_running_is_asked_to_stop_and_confirms(engine: Engine) -> None:
    claim = claimed(engine)
    with session_scope(engine) as session:
        assert backtests.heartbeat(session, claim) == "ok"
        first = backtests.cancel(session, claim.task_id, by="kim", now=NOON).cancel_requested_at
        again = backtests.cancel(session, claim.task_id, by="kim", now=NOON + timedelta(1)).cancel_requested_at
        assert first == again == NOON
        assert backtests.heartbeat(session, claim) == backtests.look(session, claim) == "cancel"
        backtests.mark_cancelled(session, claim)
    assert row(engine, claim.task_id).status == "cancelled"


@pytest.mark.parametrize("ended", ["completed", "failed", "cancelled"])
def test_ended_cannot_be_cancelled(engine: Engine, ended: str) -> None:
    task_id = queued(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE backtest_results SET status = :status"), {"status": ended})
    with session_scope(engine) as session, pytest.raises(NotCancellable, match=f"already {ended}"):
        backtests.cancel(session, task_id, by="kim")
    with session_scope(engine) as session, pytest.raises(BacktestNotFound):
        backtests.cancel(session, uuid.uuid4(), by="kim")


def test_an_old_attempt_that_comes_back_writes_nothing(engine: Engine) -> None:
    old = claimed(engine, now=NOON)
    with session_scope(engine) as session:
        assert backtests.requeue_lost(session, now=NOON + timedelta(seconds=16)) == [old.task_id]
    new = claimed(engine, old.task_id)
    before = _values(row(engine, old.task_id))
    writes = [
        lambda session: backtests.set_progress(session, old, progress=0.5, phase="late"),
        lambda session: backtests.fail(session, old, code="late", message="late"),
        lambda session: backtests.release(session, old, reason="late"),
        lambda session: backtests.mark_cancelled(session, old),
        lambda session: backtests.finish(session, old, backtests.completion(NOON)),
    ]
    for write in writes:
        with pytest.raises(ClaimLost), session_scope(engine) as session:
            write(session)
    with session_scope(engine) as session:
        assert backtests.heartbeat(session, old) == backtests.look(session, old) == "lost"
        assert backtests.heartbeat(session, new, now=before["heartbeat_at"]) == "ok"
    after = _values(row(engine, old.task_id))
    assert {**after, "updated_at": None} == {**before, "updated_at": None}
    assert "failed" not in kinds(engine, old.task_id)


def test_only_silent_hearts_are_taken_back(engine: Engine) -> None:
    silent, alive = claimed(engine, now=NOON), claimed(engine, now=NOON)
    with session_scope(engine) as session:
        backtests.heartbeat(session, alive, now=NOON + timedelta(seconds=10))
        assert backtests.requeue_lost(session, now=NOON + timedelta(seconds=15)) == []
        assert backtests.requeue_lost(session, now=NOON + timedelta(seconds=16)) == [silent.task_id]
    assert [row(engine, one.task_id).status for one in (silent, alive)] == ["queued", "running"]
    assert kinds(engine, silent.task_id)[-1] == "requeued"


def test_lost_three_times_is_failed_with_the_reason(engine: Engine) -> None:
    task_id, now = queued(engine), NOON
    for attempt in (1, 2, 3):
        assert claimed(engine, task_id, now=now).attempt == attempt
        now += timedelta(minutes=1)
        with session_scope(engine) as session:
            assert backtests.requeue_lost(session, now=now) == ([task_id] if attempt < 3 else [])
    stored = row(engine, task_id)
    assert (stored.status, stored.error_code, stored.finished_at) == ("failed", "worker_lost", now)
    assert "3 attempts" in str(stored.error_message)


def test_lost_with_a_wish_to_stop_is_cancelled(engine: Engine) -> None:
    claim = claimed(engine, now=NOON)
    with session_scope(engine) as session:
        backtests.cancel(session, claim.task_id, by="kim")
        assert backtests.requeue_lost(session, now=NOON + timedelta(minutes=1)) == []
    assert row(engine, claim.task_id).status == "cancelled"


def test_in_line_names_what_may_be_claimed_in_its_order(engine: Engine) -> None:
    first, second = (queued(engine, now=NOON + timedelta(seconds=seconds)) for seconds in (0, 1))
    claimed(engine)
    with session_scope(engine) as session:
        assert in_line(session, limit=10, now=NOON + timedelta(seconds=12)) == [first, second]
        assert in_line(session, limit=1, now=NOON + timedelta(seconds=12)) == [first]


def test_a_backoff_holds_the_backtest_back(engine: Engine) -> None:
    claim = claimed(engine, now=NOON)
    with session_scope(engine) as session:
        backtests.release(session, claim, reason="busy", delay=timedelta(seconds=60), now=NOON)
        assert in_line(session, limit=10, now=NOON + timedelta(seconds=58)) == []
        assert in_line(session, limit=10, now=NOON + timedelta(seconds=61)) == [claim.task_id]


def test_counts(engine: Engine) -> None:
    with session_scope(engine) as session:
        assert backtests.counts(session) == {"queued": 0, "running": 0}
    queued(engine)
    queued(engine)
    claimed(engine)
    with session_scope(engine) as session:
        assert backtests.counts(session) == {"queued": 2, "running": 1}
        assert backtests.counts(session, statuses=("failed",)) == {"failed": 0}


def test_an_error_undoes_the_whole_scope(engine: Engine) -> None:
    task_id = queued(engine)
    with pytest.raises(ZeroDivisionError), session_scope(engine) as session:
        assert backtests.claim(session, task_id, worker="one") is None or 1 / 0
    with session_scope(engine) as session:
        assert backtests.counts(session) == {"queued": 1, "running": 0}
    assert kinds(engine, task_id) == ["submitted"]


def _values(stored: Backtest) -> dict[str, object]:
    return {column.key: getattr(stored, column.key) for column in Backtest.__mapper__.column_attrs}
