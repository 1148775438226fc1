"""The API under load: submit, status and cancel at 50 requests a second with both workers busy, and a long queue."""

import argparse
import http.client
import json
import queue
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field, replace

from benchmarks.lab import ROOT, Lab, laboratory
from benchmarks.report import Report
from storage_core import api_tokens
from storage_core.db import session_scope
from storage_core.models import User
from workers.supervisor import web_argv

GOAL = "goal: p99 under 100 ms"
SPEC = {"strategy": "sma_cross", "symbols": ["USD-BTC"], "timeframe": "1h"}
DATES = {"start_date": "2020-01-01", "end_date": "2020-12-31"}
FINE = {"submit": {202}, "status": {200}, "cancel": {202, 409}}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench api", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=50, help="requests a second")
    parser.add_argument("--queued", type=int, nargs="*", default=[4, 200], help="backtests kept waiting, one run each")
    parser.add_argument("--bars", type=int, default=80_000, help="of each backtest that keeps the workers busy")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    options = parser.parse_args(argv)
    report = Report(f"api, {options.database}, {options.rate:g} requests a second for {options.seconds:g} s")
    errors = 0
    with laboratory(postgres=options.database == "postgresql") as lab:
        port, token = prepare(lab, options.bars)
        for queued in options.queued:
            errors += measure(report, lab, Caller(port, token), options, queued)
    report.show(as_json=options.json)
    return 1 if errors else 0


def prepare(lab: Lab, bars: int) -> tuple[int, str]:
    """Everything running and warm; the web as `./dev run` starts it."""
    lab.make_bars(bars)
    for name in ("valkey", "clock", "worker-0", "worker-1"):
        lab.start(name)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = web_argv(replace(lab.settings, port=port))
    lab.processes["web"] = subprocess.Popen(
        command, cwd=ROOT, env=lab.environment, stdout=lab.log, stderr=lab.log, start_new_session=True
    )
    with session_scope(lab.engine) as session:
        user = User(name="bench", role="trader", password_hash="x")  # noqa: S106
        session.add(user)
        session.flush()
        _, token = api_tokens.create(session, owner_id=user.id, name="bench", scope="write")
    lab.wait_for_workers(["worker-0", "worker-1"])
    wait_for_web(port)
    return port, token


def wait_for_web(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            assert time.monotonic() < deadline, "the web did not start"
            time.sleep(0.1)


def measure(report: Report, lab: Lab, caller: "Caller", options: argparse.Namespace, queued: int) -> int:
    """One run with `queued` backtests kept waiting; returns how many answers were not fine."""
    stop = threading.Event()
    feeder = threading.Thread(target=keep_queued, args=(lab, queued, stop))
    feeder.start()
    while lab.statuses().get("queued", 0) < queued:
        time.sleep(0.1)
    caller.run(seconds=2, rate=10)  # warm: imports, connections
    caller.taken.clear()
    caller.wrong.clear()
    caller.run(seconds=options.seconds, rate=options.rate)
    stop.set()
    feeder.join()
    for name in FINE:
        samples = [1000 * seconds for kind, seconds in caller.taken if kind == name]
        p50, p99 = percentile(samples, 50), percentile(samples, 99)
        report.add(f"{name}, {queued} queued", "ms", samples, GOAL)
        report.notes.append(f"{name}, {queued} queued: p50 {p50:.1f}, p99 {p99:.1f} ms of {len(samples)}")
    report.notes.append(f"{queued} queued: {len(caller.wrong)} errors {caller.wrong[:3] or ''}; {lab.statuses()}")
    return len(caller.wrong)


def keep_queued(lab: Lab, queued: int, stop: threading.Event) -> None:
    """Put backtests in line whenever fewer than `queued` wait, so that no worker is ever idle."""
    number = 0
    while not stop.wait(0.1):
        for _ in range(queued - lab.statuses().get("queued", 0)):
            lab.submit(number)
            number += 1


def percentile(samples: list[float], percent: float) -> float:
    """The smallest sample that at least `percent` of them do not exceed."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else float("nan")


Tasks = queue.Queue[tuple[float, str] | None]
Ids = queue.Queue[tuple[str, float]]


@dataclass
class Caller:
    """Sends at fixed moments, whether or not the earlier answers are there; seconds count from those moments."""

    port: int
    token: str
    threads: int = 16
    taken: list[tuple[str, float]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def run(self, *, seconds: float, rate: float) -> None:
        """A submit, a look at its status, a cancel of it, and again."""
        due: Tasks = queue.Queue()
        made: Ids = queue.Queue()
        looked: Ids = queue.Queue()
        workers = [threading.Thread(target=self._work, args=(due, made, looked)) for _ in range(self.threads)]
        for worker in workers:
            worker.start()
        started = time.perf_counter()
        for number in range(int(seconds * rate)):
            moment = started + number / rate
            time.sleep(max(0.0, moment - time.perf_counter()))
            due.put((moment, ("submit", "status", "cancel")[number % 3]))
        for _ in workers:
            due.put(None)
        for worker in workers:
            worker.join()

    def _work(self, due: Tasks, made: Ids, looked: Ids) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sources = {"status": made, "cancel": looked}
        while (task := due.get()) is not None:
            moment, kind = task
            try:
                task_id, ready = sources[kind].get(timeout=10) if kind in sources else ("", moment)
                moment = max(moment, ready)  # nobody can ask about what has not been answered yet
                status, body = self._call(connection, kind, task_id)
            except (OSError, http.client.HTTPException, queue.Empty) as error:
                self.wrong.append(f"{kind}: {error!r}")
                connection.close()
                continue
            now = time.perf_counter()
            self.taken.append((kind, now - moment))
            if status not in FINE[kind]:
                self.wrong.append(f"{kind}: {status} {body[:200]!r}")
            elif kind == "submit":
                made.put((json.loads(body)["task_id"], now))
            elif kind == "status":
                looked.put((task_id, now))
        connection.close()

    def _call(self, connection: http.client.HTTPConnection, kind: str, task_id: str) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        method, path, body = {
            "submit": ("POST", "async", json.dumps({**SPEC, **DATES})),
            "status": ("GET", f"async/{task_id}/status", None),
            "cancel": ("POST", f"{task_id}/cancel", None),
        }[kind]
        connection.request(method, f"/api/v1/backtests/{path}", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
