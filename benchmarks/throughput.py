"""Backtests a second through the whole queue: submitted, claimed, computed, stored safely; nothing lost or twice."""

import argparse
import time
from collections.abc import Sequence

from sqlalchemy import text

from benchmarks.lab import Lab, laboratory
from benchmarks.report import Report
from storage_core.reconcile import reconcile

GOAL = "goal: at least 20"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench throughput", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--backtests", type=int, default=1000)
    parser.add_argument("--bars", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--keep", action="store_true", help="leave the folder there, to look at it")
    options = parser.parse_args(argv)
    report = Report(f"throughput, {options.database}")
    with laboratory(postgres=options.database == "postgresql", keep=options.keep) as lab:
        prepare(lab, options.bars, options.workers)
        submitted, finished = measure(lab, options.backtests)
        report.add("submitted", "1/s", [options.backtests / submitted])
        report.add(
            "finished, from the first submission to the last commit", "1/s", [options.backtests / finished], GOAL
        )
        report.notes += seconds_by_phase(lab)
        problems = check(lab, options.backtests)
        report.notes += problems or ["nothing lost, nothing twice, every file verified"]
        if options.keep:
            report.notes.append(f"everything is in {lab.folder}")
    report.show(as_json=options.json)
    return 1 if problems else 0


def prepare(lab: Lab, bars: int, workers: int) -> None:
    """Everything running and warm."""
    lab.make_bars(bars)
    names = [f"worker-{number}" for number in range(workers)]
    for name in ("valkey", "clock", *names):
        lab.start(name)
    lab.wait_for_workers(names)


def measure(lab: Lab, count: int) -> tuple[float, float]:
    """Seconds to submit `count` backtests while the workers work, and to the end of the last one."""
    started = time.perf_counter()
    for number in range(count):
        lab.submit(number)
    submitted = time.perf_counter() - started
    while lab.statuses().get("queued", 0) + lab.statuses().get("running", 0):
        time.sleep(0.05)
    return submitted, time.perf_counter() - started


def check(lab: Lab, count: int) -> list[str]:
    """What is not as it should be: sentences, none when all is well."""
    found = []
    if lab.statuses() != {"completed": count}:
        found.append(f"WRONG: {count} were submitted, these are there: {lab.statuses()}")
    with lab.engine.connect() as connection:
        for kind in ("claimed", "completed"):
            query = text("SELECT count(*) FROM backtest_events WHERE kind = :kind")
            times = connection.execute(query, {"kind": kind}).scalar_one()
            if times != count:
                found.append(f"WRONG: {times} events of the kind {kind}, not {count}")
    told = reconcile(lab.engine, lab.settings, deep=True)
    if told.changed or told.damaged or told.foreign:
        found.append(f"WRONG: reconcile found {told}")
    return found


def seconds_by_phase(lab: Lab) -> Sequence[str]:
    """Where the time of a run goes, as the runs noted it."""
    with lab.engine.connect() as connection:
        span = "EXTRACT(EPOCH FROM finished_at - started_at)"
        if lab.engine.dialect.name == "sqlite":
            span = "(julianday(finished_at) - julianday(started_at)) * 86400"
        mean = connection.execute(text(f"SELECT avg({span}) FROM backtest_results")).scalar_one()  # noqa: S608
        notes = connection.execute(text("SELECT metadata FROM backtest_results WHERE status = 'completed'")).scalars()
        import json

        seconds = [(json.loads(note) if isinstance(note, str) else note)["seconds"] for note in notes]
    phases = {name: sum(one[name] for one in seconds) / len(seconds) for name in seconds[0]}
    parts = ", ".join(f"{name} {1000 * mean_seconds:.1f}" for name, mean_seconds in phases.items())
    return [f"milliseconds of a run, mean: {1000 * mean:.1f} from claim to commit; {parts}"]
