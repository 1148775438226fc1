"""Schedules: a backtest that runs again on new bars, every day or week. Its results carry its id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from storage_core.db import begin_to_write, utc_now
from storage_core.errors import StorageError
from storage_core.models import INTERVALS, Backtest, Schedule
from storage_core.names import checked_name

AT_HOUR = 1  # of the spec's time zone: the day before is over, and exchanges have its last bar
LONGEST_WINDOW = 36_525
MOST = 100
LONGEST_ERROR = 500


class ScheduleError(StorageError):
    """A schedule that cannot be: `field`, what it was, what is allowed."""

    permanent = True

    def __init__(self, field: str, was: str, allowed: str) -> None:
        self.field, self.was, self.allowed = field, was, allowed
        super().__init__(f"{field} was {was}; allowed: {allowed}")


class ScheduleNotFound(StorageError):
    """No such schedule, or it is somebody else's."""

    permanent = True

    def __init__(self, schedule_id: int) -> None:
        self.schedule_id = schedule_id
        super().__init__(f"there is no schedule {schedule_id}")


def create(
    session: Session,
    *,
    owner_id: int,
    name: str,
    spec: Mapping[str, Any],
    every: str,
    window_days: int | None = None,
    now: datetime | None = None,
) -> Schedule:
    """Run `spec` (as `spec_to_dict` gives it) again every "day" or "week", from tomorrow on.

    `window_days` None: the period grows from the spec's first day; a number: the period is that many days long and
    moves. Raises BadName and ScheduleError. Does not commit.
    """
    if every not in INTERVALS:
        raise ScheduleError("every", repr(every[:20]), " or ".join(INTERVALS))
    if window_days is not None and not 1 <= window_days <= LONGEST_WINDOW:
        raise ScheduleError("window_days", str(window_days), f"1 to {LONGEST_WINDOW}, or nothing")
    if (session.scalar(select(func.count()).where(Schedule.owner_id == owner_id)) or 0) >= MOST:
        raise ScheduleError("schedules", f"your {MOST + 1}th", f"{MOST} at most; delete one first")
    now = now or utc_now()
    schedule = Schedule(
        owner_id=owner_id,
        name=checked_name(name),
        spec=dict(spec),
        every=every,
        window_days=window_days,
        next_run_at=next_run(now, every, str(spec["timezone"])),
        created_at=now,
    )
    session.add(schedule)
    session.flush()
    return schedule


def listed(session: Session, *, owner_id: int | None) -> Sequence[Schedule]:
    """The schedules of a person (None: of everybody), the next to run first, those that rest last."""
    query = select(Schedule).order_by(Schedule.active.desc(), Schedule.next_run_at, Schedule.id)
    return session.scalars(query if owner_id is None else query.where(Schedule.owner_id == owner_id)).all()


def get(session: Session, schedule_id: int, *, owner_id: int | None) -> Schedule:
    """A schedule of the person's (None: anybody's); raises ScheduleNotFound."""
    schedule = session.get(Schedule, schedule_id, populate_existing=True)
    if schedule is None or owner_id not in (None, schedule.owner_id):
        raise ScheduleNotFound(schedule_id)
    return schedule


def hold(session: Session, schedule_id: int) -> Schedule:
    """The schedule, which nobody changes or removes before this transaction ends; raises ScheduleNotFound."""
    begin_to_write(session)
    schedule = session.get(Schedule, schedule_id, populate_existing=True, with_for_update=True)
    if schedule is None:
        raise ScheduleNotFound(schedule_id)
    return schedule


def set_active(session: Session, schedule: Schedule, active: bool, *, now: datetime | None = None) -> None:
    """Let it rest, or go on at the next hour of its own; what it missed in between is not made up for.

    Raises ScheduleNotFound when somebody has deleted it since it was read.
    """
    values: dict[str, Any] = {"active": active}
    if active and not schedule.active:
        following = next_run(now or utc_now(), schedule.every, str(schedule.spec["timezone"]))
        values |= {"next_run_at": following, "last_error": None}
    changed = update(Schedule).where(Schedule.id == schedule.id).values(**values).returning(Schedule.id)
    if session.scalar(changed, execution_options={"synchronize_session": False}) is None:
        raise ScheduleNotFound(schedule.id)
    session.refresh(schedule)


def delete(session: Session, schedule: Schedule) -> None:
    """Remove it; its backtests stay, each on its own (SQLite may give the number to a later schedule).

    The schedule goes first: who holds it (`hold`) may be about to submit one more.
    """
    session.delete(schedule)
    session.flush()
    session.execute(update(Backtest).where(Backtest.schedule_id == schedule.id).values(schedule_id=None))


def due(session: Session, *, now: datetime | None = None) -> Sequence[Schedule]:
    """The active schedules whose time has come."""
    query = select(Schedule).where(Schedule.active, Schedule.next_run_at <= (now or utc_now()))
    return session.scalars(query.order_by(Schedule.next_run_at)).all()


def take_turn(session: Session, schedule: Schedule, *, now: datetime | None = None) -> bool:
    """Move the schedule on to its next run; False when another clock has done so. Turns that were missed are one."""
    now = now or utc_now()
    following = next_run(now, schedule.every, str(schedule.spec["timezone"]))
    seen = Schedule.id == schedule.id, Schedule.active, Schedule.next_run_at == schedule.next_run_at
    if schedule.next_run_at > now:
        return False
    moved = update(Schedule).where(*seen).values(next_run_at=following, last_run_at=now).returning(Schedule.id)
    return session.scalar(moved, execution_options={"synchronize_session": False}) is not None


def run_id(schedule: Schedule) -> UUID:
    """The task_id of the run that is due now: the same for every clock that asks."""
    return uuid5(NAMESPACE_URL, f"coin-hts:schedule:{schedule.id}:{schedule.next_run_at.isoformat()}")


def next_spec(schedule: Schedule, *, now: datetime | None = None) -> dict[str, Any]:
    """The spec of a run at `now`: its last day is yesterday in the spec's time zone, but never before its first."""
    spec = dict(schedule.spec)
    yesterday = (now or utc_now()).astimezone(ZoneInfo(str(spec["timezone"]))).date() - timedelta(days=1)
    first = date.fromisoformat(str(spec["start_date"]))
    if schedule.window_days is not None:
        first = yesterday - timedelta(days=schedule.window_days - 1)
    return {**spec, "start_date": first.isoformat(), "end_date": max(first, yesterday).isoformat()}


def note_run(session: Session, schedule_id: int, *, task_id: UUID | None = None, error: str | None = None) -> None:
    """What came of a turn: the backtest that it submitted, or why it submitted none."""
    values: dict[str, Any] = {"last_error": error[:LONGEST_ERROR] if error else None}
    if task_id is not None:
        values["last_task_id"] = task_id
    session.execute(update(Schedule).where(Schedule.id == schedule_id).values(**values))


def results(session: Session, schedule_id: int, *, limit: int = 30) -> Sequence[Backtest]:
    """The newest backtests of a schedule that are not deleted."""
    query = select(Backtest).where(Backtest.schedule_id == schedule_id, Backtest.deleted_at.is_(None))
    return session.scalars(query.order_by(Backtest.created_at.desc(), Backtest.task_id.desc()).limit(limit)).all()


def next_run(now: datetime, every: str, timezone: str) -> datetime:
    """One o'clock in the morning of `timezone`, tomorrow (every day) or next Monday (every week), as an instant."""
    here = now.astimezone(ZoneInfo(timezone))
    day = here.date() + (timedelta(days=1) if every == "day" else timedelta(days=7 - here.weekday()))
    return datetime(day.year, day.month, day.day, AT_HOUR, tzinfo=ZoneInfo(timezone)).astimezone(now.tzinfo)
