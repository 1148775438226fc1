"""Backtests while workers are killed or frozen and queue server and database restart: each ends once, in truth."""

import argparse
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text

from benchmarks.lab import Lab, Postgres, laboratory
from benchmarks.report import Report
from storage_core.reconcile import reconcile
from workers.clock import SILENT_FOR

WORKERS = ("worker-1", "worker-2")
CLOCKS = ("clock-1", "clock-2")
SLOW = """
import time
from engine.signals import long_only
import numpy as np

def signals(bars, params):
    if len(bars) > 9_000:  # not again for each piece that is checked for lookahead
        time.sleep(0.4)
    rising = np.diff(bars.close, prepend=bars.close[0]) > 0
    return long_only(rising, ~rising)
"""
GOAL = "goal: under 30"


@dataclass(slots=True)
class Monkey:
    """Hurts the lab at random; remembers what it did and when."""

    lab: Lab
    random: random.Random
    postgres: Postgres | None
    done: dict[str, int] = field(default_factory=dict)
    frozen: dict[str, float] = field(default_factory=dict)

    def bite(self) -> None:
        """One bad event, chosen at random."""
        name, act = self.random.choices(
            [
                ("worker killed -9", self.kill_worker),
                ("worker frozen and back", self.freeze_worker),
                ("queue server killed -9", self.restart_broker),
                ("queue server emptied", self.empty_broker),
                ("clock killed -9", self.kill_clock),
                ("database restarted", self.restart_database),
            ],
            weights=[5, 2, 2, 2, 1, 2 if self.postgres else 0],
        )[0]
        act()
        self.done[name] = self.done.get(name, 0) + 1

    def kill_worker(self) -> None:
        name = self.random.choice(WORKERS)
        self.frozen.pop(name, None)
        self.lab.kill(name)
        self.lab.start(name)

    def freeze_worker(self) -> None:
        """Stop the world for a worker until its backtest has been given to another, and then let it go on."""
        name = self.random.choice(WORKERS)
        self.lab.signal(name, signal.SIGSTOP)
        self.frozen.setdefault(name, time.monotonic() + SILENT_FOR.total_seconds() + self.random.uniform(3, 8))

    def thaw(self, *, at_once: bool = False) -> None:
        """Let those go on whose time has come."""
        for name in [name for name, until in self.frozen.items() if at_once or time.monotonic() > until]:
            del self.frozen[name]
            self.lab.signal(name, signal.SIGCONT)

    def restart_broker(self) -> None:
        self.lab.kill("valkey")
        time.sleep(self.random.uniform(0, 1))
        self.lab.start("valkey")

    def empty_broker(self) -> None:
        self.lab.broker.client.flushall()

    def kill_clock(self) -> None:
        name = self.random.choice(CLOCKS)
        self.lab.kill(name)
        self.lab.start(name)

    def restart_database(self) -> None:
        if self.postgres:
            self.postgres.restart(seconds_away=self.random.uniform(0, 1))


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench chaos", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--backtests", type=int, default=150)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="postgresql")
    parser.add_argument("--seed", type=int, default=None, help="repeat the same bad events")
    options = parser.parse_args(argv)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    report = Report(f"chaos, {options.database}, seed {seed}")
    with laboratory(postgres=options.database == "postgresql", strategy=SLOW) as lab:
        lab.make_bars(10_000)
        for name in ("valkey", *CLOCKS, *WORKERS):
            lab.start(name)
        lab.wait_for_workers(list(WORKERS))
        monkey = Monkey(lab, random.Random(seed), lab.postgres)  # noqa: S311  not a secret
        seconds, recovery = torment(monkey, options.backtests)
        report.add("from the first submission to the last end", "s", [seconds])
        report.add("from the last bad event to the last end", "s", [recovery], GOAL)
        report.add("seconds each backtest needed, from submission to end", "s", waits(lab))
        report.notes.append(", ".join(f"{count} x {name}" for name, count in sorted(monkey.done.items())))
        report.notes.append(attempts(lab))
        problems = check(lab, options.backtests)
        report.notes += problems or ["0 lost, 0 twice, 0 torn, 0 orphans left by reconcile"]
    report.show(as_json=options.json)
    return 1 if problems or recovery > 30 else 0


def torment(monkey: Monkey, count: int) -> tuple[float, float]:
    """Submit `count` backtests over the time that two thirds of them take, hurting the lab all the while."""
    lab, started = monkey.lab, time.monotonic()
    submitted, next_bite = 0, started + 1
    while submitted < count or unfinished(lab) > 0.1 * count:
        if submitted < count and lab.submit(submitted, strategy="slow"):
            submitted += 1
        time.sleep(monkey.random.uniform(0, 0.3))
        monkey.thaw()
        if time.monotonic() > next_bite:
            monkey.bite()
            next_bite = time.monotonic() + monkey.random.uniform(0.5, 5)
    monkey.thaw(at_once=True)
    last_bite = time.monotonic()
    while unfinished(lab):
        time.sleep(0.1)
        assert time.monotonic() < last_bite + 300, lab.statuses()
    return time.monotonic() - started, time.monotonic() - last_bite


def unfinished(lab: Lab) -> int:
    statuses = lab.statuses()
    return statuses.get("queued", 0) + statuses.get("running", 0)


def waits(lab: Lab) -> Sequence[float]:
    """Seconds from submission to end of each."""
    with lab.engine.connect() as connection:
        rows = connection.execute(text("SELECT task_id FROM backtest_results")).all()
        span = "EXTRACT(EPOCH FROM finished_at - created_at)"
        if lab.engine.dialect.name == "sqlite":
            span = "(julianday(finished_at) - julianday(created_at)) * 86400"
        found = connection.execute(text(f"SELECT {span} FROM backtest_results")).scalars()  # noqa: S608
        return [float(seconds) for seconds in found][: len(rows)]


def attempts(lab: Lab) -> str:
    """How many backtests needed how many attempts."""
    with lab.engine.connect() as connection:
        query = "SELECT attempt, status, count(*) FROM backtest_results GROUP BY 1, 2 ORDER BY 1, 2"
        rows = connection.execute(text(query)).all()
    return "; ".join(f"{count} {status} in attempt {attempt}" for attempt, status, count in rows)


def check(lab: Lab, count: int) -> list[str]:
    """What is not as it should be, after the reconcile that follows a bad day: sentences, none when all is well."""
    found = []
    statuses = lab.statuses()
    if sum(statuses.values()) != count or set(statuses) - {"completed", "failed"}:
        found.append(f"WRONG: {count} were submitted, these are there: {statuses}")
    with lab.engine.connect() as connection:
        ends = "SELECT task_id FROM backtest_events WHERE kind IN ('completed', 'failed', 'cancelled', 'adopted') "
        twice = connection.execute(text(f"{ends} GROUP BY task_id HAVING count(*) > 1")).all()
        never = connection.execute(
            text(f"SELECT task_id FROM backtest_results WHERE task_id NOT IN ({ends})")  # noqa: S608
        ).all()
        untrue = connection.execute(
            text("SELECT error_code FROM backtest_results WHERE status = 'failed' AND error_code <> 'worker_lost'")
        ).all()
    found += [f"WRONG: {len(rows)} {what}" for rows, what in ((twice, "ended twice"), (never, "have no end")) if rows]
    found += [f"WRONG: {len(untrue)} failed for another reason than their worker: {untrue[:3]}"] if untrue else []
    reconcile(lab.engine, lab.settings, deep=True)
    again = reconcile(lab.engine, lab.settings, deep=True)
    if again.changed or again.damaged or again.foreign or again.busy:
        found.append(f"WRONG: after reconcile: {again}")
    folders = [path for path in Path(lab.settings.results_dir, "backtests").iterdir() if path.is_dir()]
    if len(folders) != lab.statuses().get("completed", 0):
        found.append(f"WRONG: {len(folders)} folders for {lab.statuses()}")
    return found
