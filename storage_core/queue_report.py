"""Who waits in the queue and who is served: what the page of operations and the monitoring show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from storage_core.backtest_filters import UNFINISHED
from storage_core.models import Backtest, Job, User


@dataclass(frozen=True, slots=True)
class Flow:
    """The short, or the long, backtests of one person (of nobody: `owner_id` None).

    `waiting_since` is when the oldest queued one began to wait, None when none waits.
    """

    owner_id: int | None
    owner: str
    lane: str
    queued: int
    running: int
    waiting_since: datetime | None


def flows(session: Session) -> list[Flow]:
    """Every flow with something queued or running, the one that waits longest first."""
    queued, running = Backtest.status == "queued", Backtest.status == "running"
    columns = (
        Backtest.owner_id,
        func.coalesce(User.name, ""),
        Backtest.lane,
        func.count(case((queued, 1))),
        func.count(case((running, 1))),
        func.min(case((queued, Backtest.queued_at))),
    )
    active = (UNFINISHED, Backtest.status.in_(("queued", "running")), Backtest.deleted_at.is_(None))
    rows = session.execute(
        select(*columns)
        .outerjoin(User, User.id == Backtest.owner_id)
        .where(*active)
        .group_by(Backtest.owner_id, User.name, Backtest.lane)
    )
    found = [Flow(*row) for row in rows]
    return sorted(found, key=lambda flow: (flow.waiting_since is None, flow.waiting_since, flow.owner, flow.lane))


def running_jobs(session: Session) -> Mapping[str, Sequence[Job]]:
    """The jobs that run now, by the name of their worker."""
    found: dict[str, list[Job]] = {}
    for job in session.scalars(select(Job).where(Job.status == "running").order_by(Job.started_at)):
        found.setdefault(job.worker, []).append(job)
    return found


def by_id(session: Session, task_ids: Iterable[UUID]) -> Mapping[UUID, Backtest]:
    """The rows of these backtests that there are, deleted ones included."""
    rows: Sequence[Backtest] = session.scalars(select(Backtest).where(Backtest.task_id.in_(set(task_ids)))).all()
    return {row.task_id: row for row in rows}
