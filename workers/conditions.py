"""What is worth an alert: each condition is one function that answers with what is wrong now.

They are asked about once a minute, each in a transaction of its own. One that cannot be asked (the database or the
queue server does not answer) leaves its alerts as they are.
"""

import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TypeAlias
from uuid import UUID

import redis
import structlog
from dramatiq.brokers.redis import RedisBroker
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from storage_core import alerts, fair_queue, processes, stores
from storage_core.alerts import Problem
from storage_core.backtest_filters import UNFINISHED
from storage_core.backup_schedule import overdue
from storage_core.db import session_scope, utc_now
from storage_core.errors import StorageError
from storage_core.models import Backtest
from storage_core.settings import Settings
from workers.dead_letters import list_dead
from workers.errors import BrokerDown

log = structlog.get_logger("alerts")

STUCK_AFTER = timedelta(minutes=10)
SILENT_AFTER = timedelta(seconds=90)
DISK_FULL, DISK_FINE = 0.80, 0.78  # over the first an alert, under the second it is over: no flapping between

Found: TypeAlias = Mapping[str, Problem]


@dataclass(slots=True)
class Surroundings:
    """What conditions look at, and what they remember. `worker_seen` begins as the start of this clock."""

    engine: Engine
    settings: Settings
    broker: RedisBroker
    worker_seen: datetime = field(default_factory=utc_now)
    queue_server_missed: int = 0
    waiting_beside_idle: UUID | None = None
    disk_usage: Callable[[Path], tuple[int, int, int]] = shutil.disk_usage


@dataclass(frozen=True, slots=True)
class Answer:
    """What a condition found, by the key of its alert; `still`: keys that hold although they are not in `found`."""

    found: Found = field(default_factory=dict)
    still: Collection[str] = ()


Condition: TypeAlias = Callable[[Surroundings, Session, datetime], Answer]


def look(around: Surroundings, *, now: datetime | None = None) -> None:
    """Ask every condition, and raise or resolve its alerts."""
    now = now or utc_now()
    for kind, condition in CONDITIONS.items():
        try:
            with session_scope(around.engine) as session:
                answer = condition(around, session, now)
                alerts.settle(session, kind, answer.found, still=answer.still, now=now)
        except (SQLAlchemyError, StorageError, BrokerDown, OSError) as error:
            log.warning("a condition could not be looked at", condition=kind, error=str(error))
    with session_scope(around.engine) as session:
        alerts.forget(session, now=now)


def dead_backtests(around: Surroundings, session: Session, now: datetime) -> Answer:
    """A backtest failed in every attempt; over when it is retried or discarded (or its letter is, after a week).

    The newest 50 get an alert each; when there are more, more alerts would not say more.
    """
    letters = {f"backtest:{letter.task_id}": letter for letter in list_dead(around.broker)}
    newest = dict(islice(letters.items(), alerts.MOST_NAMED))
    strategies = dict(
        session.execute(
            select(Backtest.task_id, Backtest.strategy).where(
                Backtest.task_id.in_([one.task_id for one in newest.values()]), Backtest.status == "failed"
            )
        ).all()
    )
    # A letter may be written a moment after its backtest was retried, or outlive it.
    over = {key for key, letter in newest.items() if letter.task_id not in strategies}
    found = {
        key: Problem(
            f"Backtest {letter.task_id} ({strategies[letter.task_id]}) failed in every attempt: {letter.reason}",
            {"task_id": str(letter.task_id), "code": letter.code, "attempt": letter.attempt},
        )
        for key, letter in newest.items()
        if key not in over
    }
    return Answer(found, still=letters.keys() - over)


def queue(around: Surroundings, session: Session, now: datetime) -> Answer:
    """The queue server does not answer twice in a row, or a worker is idle while a backtest waits for ten minutes.

    Between two backtests every worker is idle for a moment, so the same one must wait in two looks.
    """
    found: dict[str, Problem] = {}
    try:
        around.broker.client.ping()
        around.queue_server_missed = 0
    except redis.RedisError as error:
        around.queue_server_missed += 1
        if around.queue_server_missed > 1:
            found["queue:server"] = Problem(f"The queue server does not answer: {type(error).__name__}")
    still = {"queue:server"} if around.queue_server_missed else set()
    first = _first_in_line(session, now)
    working = sum(one.kind == "worker" for one in processes.alive(session, now))
    running = session.scalar(select(func.count()).where(UNFINISHED, Backtest.status == "running")) or 0
    before = around.waiting_beside_idle
    around.waiting_beside_idle = first.task_id if first is not None and running < working else None
    if first is None or around.waiting_beside_idle is None or first.queued_at >= now - STUCK_AFTER:
        return Answer(found, still)
    if first.task_id != before:
        return Answer(found, still | {"queue:stuck"})
    minutes = round((now - first.queued_at).total_seconds() / 60)
    found["queue:stuck"] = Problem(
        f"A backtest has waited for {minutes} min although {working - running} of {working} workers are idle",
        {"waits_since": first.queued_at.isoformat(), "workers": working, "running": running},
    )
    return Answer(found, still)


def workers(around: Surroundings, session: Session, now: datetime) -> Answer:
    """No worker has given a sign of life for a minute and a half."""
    seen = [one.seen_at for one in processes.listed(session) if one.kind == "worker"]
    # Remembered, because a worker that is stopped on purpose takes its row with it.
    around.worker_seen = max([around.worker_seen, *seen])
    if around.worker_seen >= now - SILENT_AFTER:
        return Answer()
    since = f"{around.worker_seen:%Y-%m-%d %H:%M} UTC"
    return Answer({"worker:silent": Problem(f"No worker has given a sign of life since {since}")})


def disks(around: Surroundings, session: Session, now: datetime) -> Answer:
    """A disk that we write to is more than 80% full; over when it is less than 78%."""
    found: dict[str, Problem] = {}
    still = set()
    for path in folders(around.settings):
        total, _, free = around.disk_usage(path)
        share, key = 1 - free / total, f"disk:{path}"
        facts = {"path": str(path), "free_bytes": free, "total_bytes": total}
        if share > DISK_FULL:
            found[key] = Problem(f"The disk of {path} is {share:.0%} full: {free / 1e9:.1f} GB are free", facts)
        elif share > DISK_FINE:
            still.add(key)
    return Answer(found, still)


def folders(settings: Settings) -> list[Path]:
    """The folders that we write to, one of each disk."""
    found: dict[int, Path] = {}
    backups = [] if "://" in settings.backups_uri else [Path(settings.backups_uri)]
    for path in (settings.data_dir, settings.results_dir, *backups):
        if path.is_dir():
            found.setdefault(path.stat().st_dev, path)
    return list(found.values())


def backups(around: Surroundings, session: Session, now: datetime) -> Answer:
    """A backup or a rehearsal has not succeeded for longer than promised, or damage was found in one."""
    return Answer({f"backup:{one.key}": Problem(one.message) for one in overdue(session, now)})


def sides(around: Surroundings, session: Session, now: datetime) -> Answer:
    """Completed results miss a form that the storage mode asks for."""
    mode = around.settings.result_storage_mode
    return Answer(
        {
            f"stores:{side}": Problem(
                f"{count:,} {'result is' if count == 1 else 'results are'} not kept as {side}, "
                f"which the storage mode {mode} asks for: "
                "run flask repair-results",
                {"side": side, "results": count, "mode": mode},
            )
            for side, count in stores.missing(session, mode).items()
            if count
        }
    )


def _first_in_line(session: Session, now: datetime) -> Backtest | None:
    """The backtest whose turn it is."""
    first = fair_queue.in_line(session, limit=1, now=now)
    return session.get(Backtest, first[0]) if first else None


CONDITIONS: Mapping[str, Condition] = {
    "backtest": dead_backtests,
    "queue": queue,
    "worker": workers,
    "disk": disks,
    "backup": backups,
    "stores": sides,
}
"""By the kind of the alerts that it opens and closes."""
