"""The figures of the installation, counted from the database and the disks, for /metrics and whoever watches.

Each is worked out when it is asked for, so any web process of any machine gives the same answer, whatever restarts.
`quick` looks at what is few: queued, running, open, alive. `slow` counts everything stored; ask for it now and then.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage_core import alerts, modes, processes, stores
from storage_core.backtest_filters import COMPLETED
from storage_core.models import Backtest, Job
from storage_core.queue_report import flows
from storage_core.settings import Settings

LANES = ("short", "long")
PROCESSES = ("worker", "worker-io", "clock")
DATED_JOBS: Mapping[str, str] = {"backup": "backup", "rehearse_backup": "rehearsal", "verify-results": "verify"}
"""Kinds of jobs whose newest success is worth watching, and what the figure calls them."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure at this moment: values by their labels."""

    name: str
    help: str
    samples: Sequence[tuple[Mapping[str, str], float]] = ()


def quick(session: Session, settings: Settings, *, now: datetime) -> Iterator[Figure]:
    """What waits, runs, lives and is wrong now; how much room the disks have; how old the newest successes are."""
    yield from _queue(session, now)
    yield from _jobs(session, now)
    alive = [one.kind for one in processes.alive(session, now)]
    counts = [({"kind": kind}, float(alive.count(kind))) for kind in PROCESSES]
    yield Figure("coin_hts_processes", "Processes that gave a sign of life in the last 30 seconds.", counts)
    is_open = alerts.count_open(session)
    kinds = [({"kind": kind}, float(is_open.get(kind, 0))) for kind in alerts.KINDS if kind != "test"]
    yield Figure("coin_hts_alerts_open", "Alerts that are open.", kinds)
    yield from _disks(settings)
    yield _ages(session, now)


def slow(session: Session, settings: Settings) -> Iterator[Figure]:
    """How many results are stored, their bytes, and what the storage mode misses."""
    kept = stores.kept_as(session)
    results = [({"stores": name}, float(count)) for name, count in sorted(kept.items())]
    yield Figure("coin_hts_stored_results", "Completed backtests, by what their results are kept as.", results)
    stored = session.scalar(select(func.sum(Backtest.file_size)).where(COMPLETED, Backtest.deleted_at.is_(None)))
    yield Figure("coin_hts_stored_bytes", "Bytes of the files of stored results.", [({}, float(stored or 0))])
    missing = stores.missing(session, settings.result_storage_mode)
    sides = [({"side": side}, float(missing.get(side, 0))) for side in modes.SIDES]
    yield Figure("coin_hts_missing_results", "Results that lack a side that the storage mode asks for.", sides)


def _queue(session: Session, now: datetime) -> Iterator[Figure]:
    queued, running, oldest = dict.fromkeys(LANES, 0), dict.fromkeys(LANES, 0), dict.fromkeys(LANES, 0.0)
    for flow in flows(session):
        queued[flow.lane] += flow.queued
        running[flow.lane] += flow.running
        if flow.waiting_since is not None:
            oldest[flow.lane] = max(oldest[flow.lane], (now - flow.waiting_since).total_seconds())
    yield Figure("coin_hts_queued_backtests", "Backtests that wait.", _by("lane", queued))
    yield Figure("coin_hts_running_backtests", "Backtests that run.", _by("lane", running))
    yield Figure("coin_hts_queue_oldest_seconds", "How long the oldest backtest has waited.", _by("lane", oldest))


def _jobs(session: Session, now: datetime) -> Iterator[Figure]:
    active = select(Job.status, func.count(), func.min(Job.not_before)).where(Job.status.in_(("queued", "running")))
    counts, oldest = {"queued": 0, "running": 0}, 0.0
    for status, count, since in session.execute(active.group_by(Job.status)):
        counts[status] = count
        oldest = max(0.0, (now - since).total_seconds()) if status == "queued" else oldest
    yield Figure("coin_hts_jobs", "Jobs that wait or run.", _by("status", counts))
    yield Figure("coin_hts_jobs_oldest_seconds", "How long the oldest queued job has been due.", [({}, oldest)])


def _disks(settings: Settings) -> Iterator[Figure]:
    places = {"data": settings.data_dir, "results": settings.results_dir, "backups": Path(settings.backups_uri)}
    usage = {name: shutil.disk_usage(path) for name, path in places.items() if path.is_dir()}
    free = [({"place": name}, float(found.free)) for name, found in usage.items()]
    size = [({"place": name}, float(found.total)) for name, found in usage.items()]
    yield Figure("coin_hts_disk_free_bytes", "Free bytes of the disk that holds this place.", free)
    yield Figure("coin_hts_disk_size_bytes", "Size of the disk that holds this place.", size)


def _ages(session: Session, now: datetime) -> Figure:
    newest = select(Job.kind, func.max(Job.finished_at)).where(Job.kind.in_(DATED_JOBS), Job.status == "completed")
    found = [
        ({"what": DATED_JOBS[kind]}, max(0.0, (now - at).total_seconds()))
        for kind, at in session.execute(newest.group_by(Job.kind))
        if at is not None
    ]
    return Figure("coin_hts_last_success_age_seconds", "How long ago it last succeeded, if ever.", found)


def _by(label: str, values: Mapping[str, float]) -> list[tuple[Mapping[str, str], float]]:
    return [({label: name}, float(value)) for name, value in values.items()]
