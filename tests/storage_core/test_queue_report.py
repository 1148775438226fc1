"""Who waits and who is served, and which processes live."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from storage_core import backtests, processes
from storage_core.db import session_scope
from storage_core.models import User
from storage_core.processes import Sign
from storage_core.queue_report import by_id, flows
from tests.storage_core.examples import spec

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def kim(engine):
    with session_scope(engine) as session:
        user = User(name="kim", password_hash="")
        session.add(user)
        session.flush()
        return user.id


def queue(engine, owner_id, minutes=0, **changes):
    with session_scope(engine) as session:
        at = NOON + minutes * MINUTE
        made = backtests.create(session, spec=spec(**changes), owner_id=owner_id, source="web", now=at)
        return made.task_id


def test_flows_count_by_owner_and_lane_and_say_how_long_the_oldest_waits(engine, kim):
    first = queue(engine, None, 0)
    queue(engine, kim, 3)
    queue(engine, kim, 2)
    queue(engine, kim, 1, start_date="2000-01-01", end_date="2024-12-31", timeframe="1m")
    gone = queue(engine, kim, 0)
    with session_scope(engine) as session:
        backtests.claim(session, first, worker="test")
        backtests.cancel(session, gone, by="kim")
        found = [(one.owner, one.lane, one.queued, one.running, one.waiting_since) for one in flows(session)]
    assert found == [
        ("kim", "long", 1, 0, NOON + MINUTE),
        ("kim", "short", 2, 0, NOON + 2 * MINUTE),
        ("", "short", 0, 1, None),
    ]


def test_two_flows_that_only_run_have_an_order(engine, kim):
    for task_id in (queue(engine, kim), queue(engine, None)):
        with session_scope(engine) as session:
            backtests.claim(session, task_id, worker="test")
    with session_scope(engine) as session:
        assert [one.owner for one in flows(session)] == ["", "kim"]


def test_rows_are_found_by_their_ids(engine, kim):
    known = queue(engine, kim)
    with session_scope(engine) as session:
        assert list(by_id(session, [known, known, uuid4()])) == [known]
        assert by_id(session, []) == {}


def sign(name="host:1", kind="worker", **more):
    return Sign(name=name, kind=kind, pid=1, started_at=NOON, **more)


def say(engine, *signs, now=NOON):
    with session_scope(engine) as session:
        for one in signs:
            processes.sign_of_life(session, one, now=now)


def names(engine, now):
    with session_scope(engine) as session:
        return [one.name for one in processes.alive(session, now)]


def test_a_process_lives_for_thirty_seconds_after_its_sign(engine):
    say(engine, sign(), sign("host:2", "clock"))
    say(engine, sign(task_id=(task := uuid4()), version="abc"), now=NOON + timedelta(seconds=10))
    assert names(engine, NOON + timedelta(seconds=30)) == ["host:2", "host:1"]
    assert names(engine, NOON + timedelta(seconds=31)) == ["host:1"]
    with session_scope(engine) as session:
        clock, worker = processes.listed(session)
        assert (clock.kind, clock.task_id) == ("clock", None)
        assert (worker.task_id, worker.version, worker.started_at) == (task, "abc", NOON)


def test_what_stops_is_removed_and_what_was_killed_is_forgotten_after_an_hour(engine):
    say(engine, sign(), sign("host:2"))
    with session_scope(engine) as session:
        processes.remove(session, "host:1")
        processes.forget_silent(session, now=NOON + timedelta(minutes=59))
    with session_scope(engine) as session:
        assert [one.name for one in processes.listed(session)] == ["host:2"]
        processes.forget_silent(session, now=NOON + timedelta(minutes=61))
        assert not processes.listed(session)
