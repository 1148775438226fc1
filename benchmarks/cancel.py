"""Cancel a running backtest of a million bars: seconds until it is cancelled, and until its worker runs the next."""

import argparse
import random
import time
from uuid import UUID

import numpy as np

from benchmarks.lab import START, Lab, laboratory
from benchmarks.report import Report
from engine.spec import parse_spec, spec_to_dict
from storage_core import backtests
from storage_core.bar_store import BarStore
from storage_core.db import session_scope
from storage_core.errors import NotCancellable
from workers.queue import send_backtest

MINUTE = 60_000_000
STRATEGIES = ("sma_cross", "volume_zone_breakout", "slow")
SLOW = """
from engine.signals import long_only
import numpy as np

def signals(bars, params):
    total = 0
    for _ in range(10**10):
        total += 1
    return long_only(np.zeros(len(bars), bool), np.zeros(len(bars), bool))
"""
GOAL = "goal: at most 0.2"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench cancel", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--cancels", type=int, default=20, help="of each strategy")
    parser.add_argument("--bars", type=int, default=1_000_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    options = parser.parse_args(argv)
    report = Report(f"cancel, {options.database}, {options.bars:,} bars")
    with laboratory(postgres=options.database == "postgresql", strategy=SLOW) as lab:
        make_minutes(lab, options.bars)
        for name in ("valkey", "clock", "worker-1"):
            lab.start(name)
        lab.wait_for_workers(["worker-1"])
        for strategy in STRATEGIES:
            ended, free, missed = measure(lab, strategy, options.cancels)
            report.add(f"{strategy}: until it is cancelled", "s", ended, GOAL)
            report.add(f"{strategy}: until the worker runs the next", "s", free)
            if missed:
                report.notes.append(f"{strategy}: {missed} more had ended before the cancel was there")
    report.show(as_json=options.json)
    return 1 if any(figure.goal and max(figure.samples) > 0.2 for figure in report.figures) else 0


def measure(lab: Lab, strategy: str, count: int) -> tuple[list[float], list[float], int]:
    """Cancel `count` runs, each at a random moment; one more always waits behind the one that runs."""
    chance = random.Random(7)  # noqa: S311  not a secret
    ended: list[float] = []
    free: list[float] = []
    missed = 0
    current = submit(lab, strategy)
    while len(ended) < count:
        following = submit(lab, strategy)
        wait(lab, current, "running")
        time.sleep(chance.uniform(0.0, 0.25))
        asked = time.perf_counter()
        try:
            with session_scope(lab.engine) as session:
                backtests.cancel(session, current, by="bench")
        except NotCancellable:
            missed += 1
        else:
            wait(lab, current, "cancelled")
            ended.append(time.perf_counter() - asked)
            wait(lab, following, "running")
            free.append(time.perf_counter() - asked)
        current = following
    with session_scope(lab.engine) as session:
        backtests.cancel(session, current, by="bench")
    wait(lab, current, "cancelled")
    return ended, free, missed


def submit(lab: Lab, strategy: str) -> UUID:
    """Queue a run over all the bars."""
    shipped = "sma_cross" if strategy == "slow" else strategy
    dates = {"start_date": "2020-01-01", "end_date": "2029-12-31"}
    spec = spec_to_dict(parse_spec({"strategy": shipped, "symbols": ["USD-BTC"], "timeframe": "1m", **dates}))
    spec |= {"strategy": "slow", "params": {}} if strategy == "slow" else {}
    with session_scope(lab.engine) as session:
        task_id = backtests.create(session, spec=spec, owner_id=None, source="command").task_id
    send_backtest(lab.broker, task_id)
    return task_id


def wait(lab: Lab, task_id: UUID, status: str, *, seconds: float = 60) -> None:
    """Return when the backtest has this status, or has ended in another way."""
    deadline = time.perf_counter() + seconds
    while True:
        with session_scope(lab.engine) as session:
            found = backtests.get(session, task_id).status
        if found in (status, "completed", "failed", "cancelled"):
            return
        assert time.perf_counter() < deadline, f"{task_id} is {found}, not {status}"
        time.sleep(0.005)


def make_minutes(lab: Lab, count: int) -> None:
    """A random walk of `count` minutes of USD-BTC."""
    chance = np.random.default_rng(7)
    close = np.round(20_000 * np.exp(np.cumsum(chance.normal(0, 0.0005, count))), 2)
    open_ = np.concatenate([[close[0]], close[:-1]])
    columns = {
        "timestamp": START + np.arange(count) * MINUTE,
        "open": open_,
        "high": np.maximum(open_, close) * 1.0005,
        "low": np.minimum(open_, close) * 0.9995,
        "close": close,
        "volume": chance.uniform(1, 50, count),
    }
    BarStore(lab.settings.bars_dir).merge("USD-BTC", "1m", columns)
