"""Workers on several machines share the database, the broker and the results root, and no disk."""

from dataclasses import replace

import psutil
import pytest

from benchmarks.lab import Lab
from storage_core import backtests, result_store
from storage_core.bars import bar_store_for
from storage_core.db import session_scope
from storage_core.verification import create_verification
from tests.s3 import KEY, SECRET, s3_server
from tests.services import wait_for
from tests.workers.examples import queue, row, wave
from workers.queue import send_backtest


@pytest.fixture
def machines(postgres_url, tmp_path):
    """Two machines with a worker each; the queue server runs on the first."""
    server = s3_server("rclone")
    with server.provider() as bucket:
        shared = {
            "RESULTS_URI": bucket.where,
            "S3_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        made = {}
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            broker = {"REDIS_URL": made["one"].settings.broker_url} if made else {}
            made[name] = Lab(tmp_path / name, postgres_url, **shared, **broker)
        made["one"].start("valkey")
        for lab in made.values():
            lab.start("worker")
        for lab in made.values():
            lab.wait_for_workers(["worker"])
        yield made
        for lab in reversed(made.values()):
            lab.close()


def run(lab, task_id):
    """Send it and wait for its end."""
    send_backtest(lab.broker, task_id)
    wait_for(lambda: row(lab, task_id).status not in ("queued", "running"), seconds=60)
    done = row(lab, task_id)
    assert (done.status, done.error_message) == ("completed", None)
    return done


def machine_of(machines, task_id):
    """The name of the machine whose worker ran it."""
    with session_scope(machines["one"].engine) as session:
        claimed = [event for event in backtests.events(session, task_id) if event.kind == "claimed"][-1]
    parent = psutil.Process(int(claimed.actor.rpartition(":")[2])).ppid()
    return next(name for name, lab in machines.items() if lab.processes["worker"].pid == parent)


def test_what_one_machine_ran_another_reads_and_verifies(machines, tmp_path):
    web = replace(machines["one"].settings, data_dir=tmp_path / "web")  # a third one, which only submits and reads
    bar_store_for(web).merge("USD-BTC", "1h", wave(31 * 24))
    lab = machines["one"]
    first = run(lab, queue(lab))
    ran_it = machine_of(machines, first.task_id)
    machines[ran_it].kill("worker")
    with session_scope(lab.engine) as session:
        again = create_verification(session, first.task_id, owner_id=None, by="test").task_id
    second = run(lab, again)
    assert machine_of(machines, again) != ran_it
    assert second.metadata_["verification"]["outcome"] == "identical"
    assert result_store.read_table(web, first, "performance_curve").num_rows == 31 * 24
    for one in machines.values():
        assert not list(one.settings.bars_dir.glob("*.parquet"))
