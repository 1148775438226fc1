"""What opens an alert, and what closes it again."""

import os
import threading
from collections import namedtuple
from dataclasses import replace
from datetime import timedelta

import pytest

from storage_core import alerts, backtests, processes
from storage_core.backup_records import record
from storage_core.db import session_scope, utc_now
from storage_core.processes import Sign
from tests.services import wait_for
from tests.storage_core.examples import METADATA, METRICS, claimed, tables
from tests.workers.examples import queue
from workers.alerting import run_alerting
from workers.conditions import Surroundings, folders, look
from workers.dead_letters import bury, discard_dead, retry_dead
from workers.queue import make_broker
from workers.runtime import Runtime

Usage = namedtuple("Usage", "total used free")
MINUTE = timedelta(minutes=1)


class Scene(Surroundings):
    """A disk with room, and a clock that can be set."""

    def __init__(self, runtime):
        super().__init__(runtime.engine, runtime.settings, runtime.broker)
        self.share = 0.5
        self.disk_usage = lambda path: Usage(100 * 10**9, 0, round((1 - self.share) * 100 * 10**9))
        self.now = self.worker_seen

    def look(self, later=timedelta(0)):
        self.now += later
        look(self, now=self.now)
        return self.open()

    def open(self):
        with session_scope(self.engine) as session:
            return {one.key: one.message for one in alerts.open_alerts(session)}

    def worker(self, number=1):
        sign = Sign(name=f"host:{number}", kind="worker", pid=number, started_at=self.now)
        with session_scope(self.engine) as session:
            processes.sign_of_life(session, sign, now=self.now)


@pytest.fixture
def runtime(settings, broker_url):
    runtime = Runtime(settings, make_broker(broker_url))
    yield runtime
    runtime.close()


@pytest.fixture
def scene(runtime):
    return Scene(runtime)


def failed(runtime):
    task_id = queue(runtime)
    with session_scope(runtime.engine) as session:
        claim = backtests.claim(session, task_id, worker="host:1")
        backtests.fail(session, claim, code="internal_error", message="the run broke: OSError: no")
    return task_id


def test_nothing_is_wrong_with_a_new_installation(scene):
    assert scene.look() == {}


def test_no_sign_of_life_for_a_minute_and_a_half(scene):
    assert scene.look(timedelta(seconds=89)) == {}, "the workers may still be starting"
    scene.worker()
    assert scene.look(timedelta(seconds=60)) == {}
    (said,) = scene.look(timedelta(seconds=31)).values()
    assert said.startswith("No worker has given a sign of life since ")
    scene.worker()
    assert scene.look() == {}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_worker_that_was_stopped_on_purpose_is_not_silent_at_once(scene):
    scene.worker()
    assert scene.look(timedelta(hours=1)) == {"worker:silent": scene.open()["worker:silent"]}
    scene.worker()
    assert scene.look() == {}
    with session_scope(scene.engine) as session:
        processes.remove(session, "host:1")
    assert scene.look(timedelta(seconds=60)) == {}
    assert list(scene.look(timedelta(seconds=60))) == ["worker:silent"]


def test_a_backtest_waits_beside_an_idle_worker(scene, runtime):
    task_id = queue(runtime)
    scene.worker()
    assert scene.look(9 * MINUTE).keys() <= {"worker:silent"}
    scene.now += 2 * MINUTE
    scene.worker()
    assert scene.look() == {}, "it may be about to take it"
    assert scene.look() == {"queue:stuck": "A backtest has waited for 11 min although 1 of 1 workers are idle"}
    with session_scope(scene.engine) as session:
        assert backtests.claim_next(session, worker="host:1", now=scene.now).task_id == task_id
    assert scene.look() == {}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_worker_between_two_backtests_of_a_long_queue_is_not_idle(scene, runtime):
    for _ in range(3):
        queue(runtime)
    scene.worker()
    scene.look()
    for _ in range(2):
        with session_scope(scene.engine) as session:
            claim = backtests.claim_next(session, worker="host:1", now=scene.now)
            backtests.fail(session, claim, code="bad_bars", message="a bar is missing", now=scene.now)
        scene.now += 11 * MINUTE
        scene.worker()
        assert scene.look() == {}
    assert list(scene.look()) == ["queue:stuck"]
    scene.waiting_beside_idle = None  # the clock begins again
    assert list(scene.look()) == ["queue:stuck"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_long_queue_with_busy_workers_is_not_stuck(scene, runtime):
    queue(runtime)
    queue(runtime)
    with session_scope(scene.engine) as session:
        backtests.claim_next(session, worker="host:1")
    scene.now += 30 * MINUTE
    scene.worker()
    assert scene.look() == {}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_queue_server_that_is_away_twice(settings, tmp_path):
    runtime = Runtime(settings, make_broker(f"unix://{tmp_path}/nobody.sock"))
    scene = Scene(runtime)
    assert scene.look() == {}
    assert scene.look() == {"queue:server": "The queue server does not answer: ConnectionError"}
    runtime.close()


def test_dead_backtests_are_named_until_they_are_retried_or_discarded(scene, runtime):
    task_ids = [failed(runtime) for _ in range(2)]
    for task_id in task_ids:
        bury(scene.broker, task_id, code="internal_error", reason="the run broke: OSError: no", attempt=3)
    said = scene.look()
    assert said[f"backtest:{task_ids[0]}"] == (
        f"Backtest {task_ids[0]} (sma_cross) failed in every attempt: the run broke: OSError: no"
    )
    discard_dead(scene.engine, scene.broker, task_ids[:1], by="ada")
    assert list(scene.look()) == [f"backtest:{task_ids[1]}"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_letter_that_is_written_after_the_backtest_was_retried_is_no_alert(scene, runtime):
    """Somebody was faster than the worker, which writes the letter when the row is written."""
    task_id = failed(runtime)
    assert retry_dead(scene.engine, scene.broker, [task_id], by="ada") == [task_id]
    bury(scene.broker, task_id, code="internal_error", reason="the run broke: OSError: no")
    assert scene.look() == {}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_of_many_dead_backtests_the_newest_are_named_and_none_counts_as_over(scene, runtime):
    first = failed(runtime)
    bury(scene.broker, first, code="internal_error", reason="first")
    assert list(scene.look()) == [f"backtest:{first}"]
    for _ in range(alerts.MOST_NAMED + 5):
        bury(scene.broker, failed(runtime), code="internal_error", reason="later")
    assert len(scene.look()) == alerts.MOST_NAMED + 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_disk_that_fills_up_and_is_cleared(scene):
    scene.share = 0.80
    assert scene.look() == {}
    scene.share = 0.91
    (said,) = scene.look().values()
    assert said == f"The disk of {scene.settings.data_dir} is 91% full: 9.0 GB are free"
    scene.share = 0.79
    assert len(scene.look()) == 1, "neither full nor fine"
    scene.share = 0.77
    assert scene.look() == {}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_each_disk_is_looked_at_once(settings):
    settings.results_dir.mkdir(parents=True)
    assert folders(settings) == [settings.data_dir]
    assert folders(replace(settings, backup_uri="s3://bucket/backups")) == [settings.data_dir]


def test_results_that_miss_a_side_of_the_mode(scene, settings):
    from storage_core import result_store

    claim = claimed(scene.engine)
    result_store.save(scene.engine, settings, claim, tables(), metrics=METRICS, metadata=METADATA)
    assert scene.look() == {}
    scene.settings = replace(settings, result_storage_mode="dual-write")
    assert scene.look() == {
        "stores:json": "1 result is not kept as json, which the storage mode dual-write asks for: "
        "run flask repair-results"
    }


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_thread_of_the_clock_looks_at_once_and_ends_when_told(scene, runtime):
    stop = threading.Event()
    bury(scene.broker, failed(runtime), code="internal_error", reason=f"process {os.getpid()} broke")
    thread = threading.Thread(target=run_alerting, args=(scene.engine, scene.settings, scene.broker, stop))
    thread.start()
    wait_for(scene.open, what="an alert")
    stop.set()
    thread.join(60)
    assert not thread.is_alive()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_alerts_that_ended_long_ago_are_let_go(scene):
    scene.share = 0.9
    scene.look()
    scene.share = 0.5
    scene.look()
    with session_scope(scene.engine) as session:
        assert len(alerts.past_alerts(session)) == 1
    assert utc_now() < scene.now + timedelta(days=401)
    scene.worker_seen = scene.now + timedelta(days=402)
    scene.look(timedelta(days=402))
    with session_scope(scene.engine) as session:
        assert alerts.past_alerts(session) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_backup_that_is_overdue_and_then_made(scene, runtime):
    queue(runtime)
    assert not [key for key in scene.look(timedelta(hours=25)) if key.startswith("backup:")]
    said = scene.look(timedelta(hours=2))["backup:backup"]
    assert said.startswith("No backup for more than 26 hours")
    with session_scope(scene.engine) as session:
        record(session, kind="backup", outcome={}, began=scene.now, ended=scene.now)
    assert "backup:backup" not in scene.look()
