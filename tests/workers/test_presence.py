"""Workers and the clock are seen while they live."""

import threading

import pytest

from storage_core import processes
from storage_core.db import make_engine, session_scope, utc_now
from tests.services import wait_for
from tests.workers.examples import queue
from workers import clock, presence, runtime
from workers.queue import make_broker
from workers.runtime import Runtime


@pytest.fixture
def living(settings, broker_url):
    one = Runtime(settings, make_broker(broker_url))
    yield one
    one.close()


def seen(engine):
    with session_scope(engine) as session:
        return [(one.kind, one.name, one.task_id) for one in processes.alive(session, utc_now())]


def test_a_worker_says_that_it_lives_and_on_what_it_works_until_it_stops(living, monkeypatch):
    monkeypatch.setattr(runtime, "FOLLOW_SECONDS", 0.02)
    other = make_engine(living.settings.database_url)
    living.follow()
    wait_for(lambda: seen(other) == [("worker", living.worker_name, None)])
    living.presence.task_id = task_id = queue(living)
    wait_for(lambda: seen(other) == [("worker", living.worker_name, task_id)])
    living.close()
    assert seen(other) == []
    other.dispose()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_sign_is_written_when_it_is_due_and_not_at_every_look(living, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(presence.time, "monotonic", lambda: now[0])
    written = []
    monkeypatch.setattr(presence.processes, "sign_of_life", lambda session, sign: written.append(sign.task_id))
    for second in range(20):
        now[0] = 100.0 + second
        living.presence.beat()
    assert len(written) == 3


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_clock_is_seen_and_leaves(living):
    stop = threading.Event()
    thread = threading.Thread(target=clock.run_clock, args=(living.engine, living.broker, stop))
    thread.start()
    wait_for(lambda: [kind for kind, _, _ in seen(living.engine)] == ["clock"])
    stop.set()
    thread.join()
    assert seen(living.engine) == []
