"""The processes of the Procfile on PostgreSQL, Valkey and S3, restarted under load as an upgrade does."""

import importlib.util
import signal
import threading
import time
import urllib.error
import urllib.request

import psutil
import pytest

from tests.databases import fresh_postgresql_database
from tests.deployment import ROOT, Deployment, procfile
from tests.s3 import s3_server
from tests.services import wait_for

SPEC = {"strategy": "sma_cross", "symbols": ["USD-BTC"], "timeframe": "1h"}
PERIOD = {"start_date": "2018-03-01", "end_date": "2018-12-31"}


@pytest.fixture(scope="module")
def deployment(postgres_server, tmp_path_factory):
    server = s3_server("rclone")
    with fresh_postgresql_database(postgres_server) as url:
        deployment = Deployment(
            tmp_path_factory.mktemp("deployment"),
            database_url=url,
            results_uri=server.provider(prefix="lab").where,
            s3=server.access(),
        )
        try:
            deployment.start_queue()
            deployment.run("python -m workers.prepare")
            for name in procfile():
                if name != "release":
                    deployment.start(name)
            deployment.start("worker", place="worker-2")
            wait_for(lambda: answers(deployment), seconds=90, what="the web process answering")
            yield deployment
        finally:
            deployment.stop_all()


@pytest.fixture(scope="module")
def client(deployment):
    deployment.run("flask create-user ada --role admin", text="a long password\n")
    token = deployment.run("flask create-token ada --scope write")
    place = ROOT / "docs" / "examples" / "client.py"
    loaded = importlib.util.spec_from_file_location("client", place)
    module = importlib.util.module_from_spec(loaded)
    loaded.loader.exec_module(module)
    return module.Client(deployment.url, token)


def answers(deployment, path="/healthz"):
    try:
        with urllib.request.urlopen(deployment.url + path, timeout=10) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def test_release_brings_the_schema_up_to_date_and_again_does_nothing(deployment):
    deployment.run(procfile()["release"])
    assert "head" in deployment.run("flask db current")


def test_workers_that_share_no_disk_run_backtests_which_the_web_reads(deployment, client):
    ids = [client.submit(**SPEC, **PERIOD, params={"fast": fast}) for fast in range(3, 9)]
    results = [client.wait(task_id, seconds=120) for task_id in ids]
    assert [result["status"] for result in results] == ["completed"] * len(ids)
    assert all(list(client.trades(task_id)) for task_id in ids)


def test_the_web_restarts_without_a_request_that_fails(deployment, client):
    master = psutil.Process(deployment.processes["web"].pid)
    before = {child.pid for child in master.children()}
    stop, failed, answered = threading.Event(), [], []

    def ask():
        while not stop.is_set():
            (answered if answers(deployment) else failed).append(time.monotonic())

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        deployment.processes["web"].send_signal(signal.SIGHUP)
        wait_for(lambda: not before & {child.pid for child in master.children()}, seconds=90, what="new web processes")
        after = len(answered)
        wait_for(lambda: len(answered) > after + 20, seconds=60, what="answers of the new processes")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failed == []
    assert client.status(client.submit(**SPEC, **PERIOD))["status"]


def test_workers_restart_under_load_and_every_backtest_ends_once(deployment, client):
    ids = [client.submit(**SPEC, **PERIOD, params={"fast": 2, "slow": slow}) for slow in range(10, 30)]
    deployment.stop("worker")
    deployment.start("worker")
    deployment.stop("worker-2")
    deployment.start("worker", place="worker-2")
    results = [client.wait(task_id, seconds=180) for task_id in ids]
    assert [result["status"] for result in results] == ["completed"] * len(ids)
    events = [[event["kind"] for event in result.get("events", [])] for result in results]
    assert all(kinds.count("completed") <= 1 for kinds in events)
