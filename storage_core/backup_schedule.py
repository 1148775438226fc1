"""When backups are due, which job each is, and what is overdue.

A backup every night at 03:00 of the time zone of the settings, a rehearsal every Sunday at 04:00. A night that was
missed is made up for at once. The id of each job follows from its kind and its day, so any number of clocks make one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage_core.models import Backtest, Job, User

BACKUP, VERIFY, PRUNE, REHEARSE = "backup", "verify_backup", "prune_backups", "rehearse_backup"
KINDS = (BACKUP, VERIFY, PRUNE, REHEARSE)
"""Kinds of jobs."""
NIGHTLY, WEEKLY, SUNDAY = time(3), time(4), 6
PROMISED = {BACKUP: timedelta(hours=26), REHEARSE: timedelta(days=8)}
"""How old the newest success may be."""
WEEK = timedelta(days=7)
"""In which a seventh a night reads everything."""
_NAMESPACE = UUID("3f0f5f3e-5a0b-5f7c-9a52-2b1d3c8e7a10")


@dataclass(frozen=True, slots=True)
class Due:
    """A job that should exist and does not."""

    kind: str
    job_id: UUID
    args: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Overdue:
    """What has not succeeded for longer than promised; `key` names it for alerts, `last` is the newest success."""

    key: str
    message: str
    last: datetime | None


def job_id(kind: str, day: date) -> UUID:
    """The id of the job of that kind and day."""
    return uuid5(_NAMESPACE, f"{kind} {day.isoformat()}")


def due(session: Session, *, now: datetime, timezone: str) -> list[Due]:
    """What the clock should ask for now. Nothing before the installation has lived through such an hour."""
    began = in_use_since(session)
    night, day = last_turn(now, timezone, at=NIGHTLY)
    found = [Due(BACKUP, job_id(BACKUP, day), {"night": day.isoformat()})] if began and began < night else []
    sunday, day = last_turn(now, timezone, at=WEEKLY, weekday=SUNDAY)
    if began and began < sunday and _last_success(session, BACKUP):
        found.append(Due(REHEARSE, job_id(REHEARSE, day), {"week": day.isoformat()}))
    return [one for one in found if session.get(Job, one.job_id) is None]


def last_turn(now: datetime, timezone: str, *, at: time, weekday: int | None = None) -> tuple[datetime, date]:
    """The newest instant, and its local day, at which it was `at` o'clock there (on that day of the week)."""
    zone = ZoneInfo(timezone)
    day = now.astimezone(zone).date()
    while (turn := datetime.combine(day, at, zone).astimezone(UTC)) > now or day.weekday() != (
        weekday or day.weekday()
    ):
        day -= timedelta(days=1)
    return turn, day


def overdue(session: Session, now: datetime) -> list[Overdue]:
    """The promises that are broken now: no backup for 26 hours, no rehearsal for 8 days, damage in a backup.

    A new installation has as long for its first ones.
    """
    began = in_use_since(session)
    return [] if began is None else [*_late(session, now, began), *_damaged(session, now)]


def in_use_since(session: Session) -> datetime | None:
    """Since when there has been something to back up: the first account or backtest. None: there is nothing."""
    firsts = [session.scalar(select(func.min(column))) for column in (User.created_at, Backtest.created_at)]
    return min((first for first in firsts if first is not None), default=None)


def _late(session: Session, now: datetime, began: datetime) -> Iterator[Overdue]:
    words = {BACKUP: "backup", REHEARSE: "rehearsal of a restore"}
    for kind, promised in PROMISED.items():
        last = _last_success(session, kind)
        if now - (last or began) > promised:
            since = f"the last was at {last:%Y-%m-%d %H:%M} UTC" if last else "there has been none"
            hours = int(promised.total_seconds() // 3600)
            limit = f"{hours} hours" if hours < 48 else f"{hours // 24} days"
            yield Overdue(kind, f"No {words[kind]} for more than {limit}: {since}.", last)


def _damaged(session: Session, now: datetime) -> Iterator[Overdue]:
    """A verify found damage, or the newest backup lacks files."""
    if (found := _damage(session, now)) is not None:
        count = found.outcome["damaged"]
        yield Overdue("backup_damaged", f"{count} objects of the backups are damaged or gone.", found.finished_at)
    made = next(iter(_ended(session, BACKUP, limit=1)), None)
    if made is not None and made.outcome.get("problems"):
        count = made.outcome["problems"]
        message = f"The newest backup lacks {count} files that are damaged or gone in the store of results."
        yield Overdue("backup_incomplete", message, made.finished_at)


def _damage(session: Session, now: datetime) -> Job | None:
    """The newest verify of the week that found some; one that read everything and found none settles it."""
    for job in _ended(session, VERIFY, limit=100):
        if job.finished_at is None or job.finished_at < now - WEEK:
            return None
        if job.outcome.get("damaged"):
            return job
        if job.outcome.get("part") is None:
            return None
    return None


def _last_success(session: Session, kind: str) -> datetime | None:
    return session.scalar(select(func.max(Job.finished_at)).where(Job.kind == kind, Job.status == "completed"))


def _ended(session: Session, kind: str, *, limit: int) -> Sequence[Job]:
    """The newest completed jobs of a kind."""
    query = select(Job).where(Job.kind == kind, Job.status == "completed").order_by(Job.created_at.desc())
    return session.scalars(query.limit(limit)).all()
