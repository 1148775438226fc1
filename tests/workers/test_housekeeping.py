"""The clock sets right what a crash left."""

import threading
from datetime import timedelta

import pytest

from storage_core import audit, backtests, result_store
from storage_core.db import session_scope, utc_now
from tests.storage_core.examples import METADATA, METRICS, claimed, row, tables
from workers.housekeeping import run_housekeeping, tidy


class Crash(Exception):
    pass


def crash_at(step):
    def on_step(reached):
        if reached == step:
            raise Crash

    return on_step


def test_a_result_that_never_got_to_its_commit_is_adopted(engine, settings):
    claim = claimed(engine)
    with pytest.raises(Crash):
        result_store.save(
            engine, settings, claim, tables(), metrics=METRICS, metadata=METADATA, on_step=crash_at("flushed")
        )
    assert tidy(engine, settings).adopted == []  # its worker may still be alive
    with session_scope(engine) as session:
        backtests.get(session, claim.task_id).heartbeat_at = utc_now() - timedelta(minutes=5)
    assert tidy(engine, settings).adopted == [claim.task_id]
    assert row(engine, claim.task_id).status == "completed"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_old_entries_of_the_audit_log_go(engine, settings):
    with session_scope(engine) as session:
        for days in (399, 401):
            audit.record(session, actor="ada", action="x", target=f"{days}", now=utc_now() - timedelta(days=days))
    tidy(engine, settings)
    with session_scope(engine) as session:
        assert [entry.target for entry in audit.list_entries(session).rows] == ["399"]


def test_rounds_begin_at_once_and_end_when_told(engine, settings):
    stop = threading.Event()
    thread = threading.Thread(target=run_housekeeping, args=(engine, settings, stop))
    thread.start()
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
