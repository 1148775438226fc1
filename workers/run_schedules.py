"""The clock's part in schedules: a turn that is due becomes a job; the job submits the backtest."""

from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from storage_core import backtests, jobs, schedules
from storage_core.bar_store import Coverage
from storage_core.db import session_scope, utc_now
from storage_core.models import Backtest, Schedule, User
from storage_core.schedules import ScheduleNotFound
from workers.job_context import JobContext

log = structlog.get_logger("clock")

RUN_SCHEDULE = "run_schedule"
MAY_RUN = ("trader", "admin")


def take_turns(engine: Engine, *, now: datetime | None = None) -> int:
    """Make a job of every schedule whose time has come; how many. Of two clocks that see the same turn one makes it."""
    made = 0
    with session_scope(engine) as session:
        waiting = [schedule.id for schedule in schedules.due(session, now=now)]
    for schedule_id in waiting:
        try:
            with session_scope(engine) as session:
                made += _take_turn(session, schedule_id, now)
        except IntegrityError:  # the other clock's job is there already, and so is its turn
            log.debug("another clock took this turn", schedule_id=schedule_id)
    return made


def _take_turn(session: Session, schedule_id: int, now: datetime | None) -> int:
    schedule = session.get(Schedule, schedule_id)
    if schedule is None:
        return 0
    job_id = schedules.run_id(schedule)
    if not schedules.take_turn(session, schedule, now=now):
        return 0
    jobs.create(session, kind=RUN_SCHEDULE, args={"schedule_id": schedule_id}, job_id=job_id, now=now)
    return 1


def run_schedule(context: JobContext) -> dict[str, Any]:
    """Submit the backtest of one turn, when there are bars that the last one had not; why not stands at the schedule.

    The backtest has the job's id, so a second attempt finds what the first one submitted.
    """
    from storage_core.bars import bar_store_for  # with numpy, which the clock does without

    coverage = bar_store_for(context.settings).inventory()
    with session_scope(context.engine) as session:
        try:
            schedule = schedules.hold(session, int(context.args["schedule_id"]))
        except ScheduleNotFound:
            return {"why_not": "the schedule was deleted in the meantime"}
        if (known := session.get(Backtest, context.job_id)) is not None:
            return {"task_id": str(known.task_id)}
        why_not = _why_not(session, schedule, coverage)
        if why_not is not None:
            schedules.note_run(session, schedule.id, error=why_not)
            return {"why_not": why_not}
        spec = schedules.next_spec(schedule)
        made = backtests.create(
            session, spec=spec, owner_id=schedule.owner_id, source="schedule", task_id=context.job_id
        )
        made.schedule_id = schedule.id
        schedules.note_run(session, schedule.id, task_id=made.task_id)
    return {"task_id": str(context.job_id)}


def _why_not(session: Session, schedule: Schedule, coverage: list[Coverage]) -> str | None:
    owner = session.get(User, schedule.owner_id)
    if owner is None or not owner.active or owner.role not in MAY_RUN:
        return "Its owner may not run backtests any more."
    last = {one.symbol: one.last for one in coverage if one.timeframe == schedule.spec["timeframe"]}
    missing = [symbol for symbol in schedule.spec["symbols"] if symbol not in last]
    if missing:
        return f"There are no {schedule.spec['timeframe']} bars of {', '.join(missing)} any more."
    previous = session.get(Backtest, schedule.last_task_id) if schedule.last_task_id is not None else None
    if previous is None or previous.status != "completed":
        return None
    newest = max(last[symbol] for symbol in schedule.spec["symbols"])
    if newest > _last_bar(previous):
        return None
    return f"There are no bars after {newest:%Y-%m-%d %H:%M} UTC, the last one of the run before. Fetch or import some."


def _last_bar(backtest: Backtest) -> datetime:
    """The newest bar that a completed backtest has seen; long ago when it does not say."""
    data = (backtest.metadata_ or {}).get("data") or {}
    lasts = [datetime.fromisoformat(facts["last"]) for facts in data.values() if facts.get("last")]
    return max(lasts, default=utc_now() - timedelta(days=36_525))
