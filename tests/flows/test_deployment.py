"""The processes of the Procfile on PostgreSQL, Valkey and S3, restarted under load as an upgrade does."""

import importlib.util
import json
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
HEALTHY = 'coin_hts_request_seconds_count{method="GET",route="/healthz",status="200"}'
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
    """Whether the web answers. New processes take seconds to load; a request that comes meanwhile waits."""
    try:
        with urllib.request.urlopen(deployment.url + path, timeout=60) as answer:
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


def test_both_workers_store_in_s3_and_nothing_of_it_on_a_disk_and_all_of_it_is_sound(deployment, client):
    slow = iter(range(40, 400))

    def both_have_run():
        two = [client.submit(**SPEC, **PERIOD, params={"fast": 2, "slow": next(slow)}) for _ in range(2)]
        assert [client.wait(task_id, seconds=120)["status"] for task_id in two] == ["completed"] * 2
        return all('"event": "completed"' in deployment.log(place) for place in ("worker", "worker-2"))

    wait_for(both_have_run, seconds=120, what="a backtest run by each worker")
    report = json.loads(deployment.run("flask verify-results --json"))
    assert report["results"] >= 2
    assert (report["damaged"], report["findings"]) == (0, [])
    for place in ("worker", "worker-2", "web"):
        assert list((deployment.folder / place / "results").glob("backtests/*")) == []


def test_a_request_is_followed_from_the_click_to_the_result_in_the_logs(deployment, client):
    headers = {"Authorization": f"Bearer {client.token}", "Content-Type": "application/json"}
    body = json.dumps({**SPEC, **PERIOD, "params": {"fast": 7, "slow": 77}}).encode()
    asked = urllib.request.Request(
        f"{deployment.url}/api/v1/backtests/async", body, {**headers, "X-Request-ID": "from-click-to-result"}
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:
        assert answer.headers["X-Request-ID"] == "from-click-to-result"
        task_id = json.load(answer)["task_id"]
    ended = client.wait(task_id, seconds=120)
    assert (ended["status"], ended.get("error")) == ("completed", None)

    def lines(*places):
        said = [line for place in places for line in deployment.log(place).splitlines() if line.startswith("{")]
        return [one for one in map(json.loads, said) if one.get("request_id") == "from-click-to-result"]

    wait_for(lambda: lines("web"), what="the line of the web")
    (web,) = lines("web")
    assert (web["process"], web["event"], web["status"]) == ("web", "request", 202)
    wait_for(lambda: lines("worker", "worker-2"), what="the worker's line")
    (worker,) = lines("worker", "worker-2")
    assert (worker["process"], worker["event"], worker["task_id"]) == ("worker", "completed", task_id)


def test_figures_are_those_of_all_web_processes_whichever_answers(deployment, client):
    assert len(psutil.Process(deployment.processes["web"].pid).children()) > 1
    wait_for(lambda: answers(deployment, "/readyz"), seconds=60, what="readiness")
    asked = urllib.request.Request(f"{deployment.url}/metrics", headers={"Authorization": f"Bearer {client.token}"})

    def counted():
        with urllib.request.urlopen(asked, timeout=60) as answer:
            told = [line.rsplit(" ", 1) for line in answer.read().decode().splitlines()]
        return next((float(value) for name, value in told if name == HEALTHY), 0.0)

    before = counted()
    for _ in range(40):
        assert answers(deployment)
    wait_for(lambda: counted() == before + 40, what="every request being counted")
    assert [counted() for _ in range(6)] == [before + 40] * 6


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
