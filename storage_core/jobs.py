"""The life of a job: long work beside backtests, such as fetching bars or taking a backup.

The same words and rules as for backtests (`storage_core.backtests`): functions take a session and never commit, every
step is one conditional UPDATE that counts only when exactly one row changed, and every write of a running attempt
asks for its attempt number, so that an old attempt that comes back can write nothing.

What a backtest has not: `state`, kept by a running attempt, from which the next one goes on; and `not_before`, the
instant before which nobody takes the job.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.orm import Session

from storage_core.db import take_turns, utc_now
from storage_core.errors import JobEnded, JobLost, JobNotFound
from storage_core.logs import current_request_id
from storage_core.models import Job
from storage_core.names import storable_text

__all__ = [
    "MAX_ATTEMPTS", "Beat", "JobClaim", "cancel", "claim_next", "create", "create_alone", "due", "fail", "finish",
    "get", "heartbeat", "keep", "listed", "look", "mark_cancelled", "release", "report", "requeue_lost",
]  # fmt: skip

Beat: TypeAlias = Literal["ok", "cancel", "lost"]

MAX_ATTEMPTS = 3
WORKER_LOST = "worker_lost"
ACTIVE = ("queued", "running")
LONGEST_MESSAGE, LONGEST_PHASE = 10_000, 200
_CANCEL_TRIES = 3
_PLAIN = {"synchronize_session": False}  # rows are read afresh by `get`, never patched in memory
_NOT_TO_STOP = Job.cancel_requested_at.is_(None)


@dataclass(frozen=True, slots=True)
class JobClaim:
    """A worker's right to run one attempt of a job, what to do, and what earlier attempts have reached."""

    job_id: UUID
    kind: str
    attempt: int
    args: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)
    tries: int = field(default=1, compare=False)  # attempts that count, this one included
    request_id: str = field(default="", compare=False)  # of the request that asked for it


def create(
    session: Session,
    *,
    kind: str,
    args: Mapping[str, Any],
    owner_id: int | None = None,
    not_before: datetime | None = None,
    job_id: UUID | None = None,
    now: datetime | None = None,
) -> Job:
    """Insert a queued job. Its id is known before the commit.

    `job_id` None = a new one; a given one that exists already is an IntegrityError, which is how two clocks that want
    the same job make one. Nobody takes it before `not_before` (None: at once). Until there is an outcome, its place
    holds the `request_id` of the request at work, so that the log of the worker can name it.
    """
    now = now or utc_now()
    job = Job(
        job_id=job_id or uuid4(),
        kind=kind,
        args=dict(args),
        outcome={"request_id": asked_by} if (asked_by := current_request_id()) else {},
        owner_id=owner_id,
        status="queued",
        created_at=now,
        not_before=not_before or now,
    )
    session.add(job)
    session.flush()
    return job


def create_alone(
    session: Session, *, kind: str, args: Mapping[str, Any], owner_id: int, beside: Sequence[str]
) -> Job | None:
    """Insert a queued job unless one of the kinds `beside` waits or runs: then None. Of two who ask at once one may."""
    take_turns(session, f"asking for {', '.join(sorted(beside))}")
    if listed(session, kinds=beside, statuses=ACTIVE, limit=1):
        return None
    return create(session, kind=kind, args=args, owner_id=owner_id)


def get(session: Session, job_id: UUID) -> Job:
    """The row of `job_id` as it is now; raises JobNotFound."""
    job = session.get(Job, job_id, populate_existing=True)
    if job is None:
        raise JobNotFound(job_id)
    return job


def listed(
    session: Session, *, kinds: Sequence[str] | None = None, statuses: Sequence[str] | None = None, limit: int = 20
) -> list[Job]:
    """The newest jobs of these kinds and statuses (None: of all), at most `limit`, the newest first."""
    query = select(Job).order_by(Job.created_at.desc(), Job.job_id).limit(limit)
    query = query if kinds is None else query.where(Job.kind.in_(kinds))
    query = query if statuses is None else query.where(Job.status.in_(statuses))
    return list(session.scalars(query, execution_options={"populate_existing": True}))


def due(session: Session, *, kinds: Sequence[str], limit: int, now: datetime | None = None) -> list[UUID]:
    """The queued jobs of `kinds` that may be taken now, the longest waiting first, at most `limit`."""
    return list(session.scalars(_in_line(kinds, now or utc_now()).limit(limit)))


def claim_next(
    session: Session, *, worker: str, kinds: Sequence[str] | None = None, now: datetime | None = None
) -> JobClaim | None:
    """Take the job of `kinds` (None: any) that has waited longest: running, next attempt. None = none is due."""
    now = now or utc_now()
    first = _in_line(kinds, now).limit(1)
    if session.get_bind().dialect.name == "postgresql":
        first = first.with_for_update(skip_locked=True)  # two workers that look at once take two jobs
    running = {"status": "running", "started_at": now, "heartbeat_at": now, "progress": 0.0, "phase": ""}
    taken = session.execute(
        update(Job)
        .where(Job.job_id == first.scalar_subquery(), Job.status == "queued")
        .values(attempt=Job.attempt + 1, worker=worker[:255], **running)
        .returning(Job.job_id, Job.kind, Job.attempt, Job.args, Job.state, Job.excused, Job.outcome),
        execution_options=_PLAIN,
    ).one_or_none()
    if taken is None:
        return None
    tries, asked_by = taken.attempt - taken.excused, taken.outcome.get("request_id", "")
    return JobClaim(taken.job_id, taken.kind, taken.attempt, taken.args, taken.state, tries, asked_by)


def heartbeat(session: Session, claim: JobClaim, *, now: datetime | None = None) -> Beat:
    """Say that the attempt lives. "cancel" = a person wants it to stop; "lost" = it is no longer this attempt's."""
    beaten = session.execute(
        update(Job).where(_held(claim)).values(heartbeat_at=now or utc_now()).returning(Job.cancel_requested_at),
        execution_options=_PLAIN,
    ).one_or_none()
    if beaten is None:
        return "lost"
    return "ok" if beaten.cancel_requested_at is None else "cancel"


def look(session: Session, claim: JobClaim) -> Beat:
    """What `heartbeat` would answer, without writing."""
    held = session.execute(select(Job.cancel_requested_at).where(_held(claim))).one_or_none()
    if held is None:
        return "lost"
    return "ok" if held.cancel_requested_at is None else "cancel"


def report(session: Session, claim: JobClaim, *, progress: float, phase: str, now: datetime | None = None) -> None:
    """Store how far the attempt is (0..1, also a sign of life) and what it does; raises JobLost."""
    if math.isnan(progress):
        raise ValueError("progress is not a number")
    kept = {"progress": min(max(progress, 0.0), 1.0), "phase": storable_text(phase, LONGEST_PHASE)}
    _write(session, claim, {**kept, "heartbeat_at": now or utc_now()})


def keep(session: Session, claim: JobClaim, state: Mapping[str, Any], *, now: datetime | None = None) -> None:
    """Store what the attempt has reached, in place of what was kept: a later one goes on there. Raises JobLost."""
    _write(session, claim, {"state": dict(state), "heartbeat_at": now or utc_now()})


def finish(session: Session, claim: JobClaim, outcome: Mapping[str, Any], *, now: datetime | None = None) -> None:
    """End the job as completed, with what came of it; raises JobLost."""
    ended = {"status": "completed", "finished_at": now or utc_now(), "progress": 1.0, "phase": ""}
    _write(session, claim, {**ended, "outcome": dict(outcome), "error_code": None, "error_message": None})


def fail(session: Session, claim: JobClaim, *, code: str, message: str, now: datetime | None = None) -> None:
    """End the job as failed, with a stable `code` and a sentence for people; raises JobLost."""
    ended = {"status": "failed", "finished_at": now or utc_now(), "phase": ""}
    _write(session, claim, {**ended, "error_code": code[:60], "error_message": storable_text(message, LONGEST_MESSAGE)})


def release(
    session: Session,
    claim: JobClaim,
    *,
    code: str,
    message: str,
    delay: timedelta = timedelta(0),
    excused: bool = False,
    now: datetime | None = None,
) -> None:
    """Give the job back to the queue, to be taken when `delay` is over; raises JobLost.

    One that a person wanted to stop is cancelled instead. `excused`: the attempt does not count against the most
    there may be (a graceful stop). `code` and `message` say why, until an attempt completes.
    """
    now = now or utc_now()
    why = {"error_code": code[:60], "error_message": storable_text(message, LONGEST_MESSAGE)}
    again = {**_queued(now + delay), **why, "excused": Job.excused + int(excused)}
    if not _changed(session, _held(claim) & _NOT_TO_STOP, again):  # first, as the wish to stop may come at any moment
        _write(session, claim, _cancelled(now))


def mark_cancelled(session: Session, claim: JobClaim, *, now: datetime | None = None) -> None:
    """Confirm that the attempt has stopped because a person wanted it; raises JobLost."""
    _write(session, claim, _cancelled(now or utc_now()))


def cancel(session: Session, job_id: UUID, *, now: datetime | None = None) -> Job:
    """Stop a job: a queued one at once, a running one is asked to; an ended one raises JobEnded."""
    now = now or utc_now()
    row = Job.job_id == job_id
    asked = {"cancel_requested_at": func.coalesce(Job.cancel_requested_at, now)}
    for _ in range(_CANCEL_TRIES):  # it may be claimed, or given back, between the two looks
        if _changed(session, row & (Job.status == "queued"), _cancelled(now) | {"cancel_requested_at": now}):
            return get(session, job_id)
        if _changed(session, row & (Job.status == "running"), asked):
            return get(session, job_id)
    raise JobEnded(job_id, get(session, job_id).status)


def requeue_lost(
    session: Session,
    *,
    silent_for: timedelta = timedelta(seconds=15),
    max_attempts: int = MAX_ATTEMPTS,
    now: datetime | None = None,
) -> list[UUID]:
    """Take back running jobs whose heart stopped `silent_for` ago; returns those queued again, to be sent.

    One that a person wanted to stop is cancelled; one whose last of `max_attempts` this was fails with the code
    worker_lost.
    """
    now = now or utc_now()
    lost = and_(Job.status == "running", Job.heartbeat_at < now - silent_for)
    if session.scalar(select(Job.job_id).where(lost).limit(1)) is None:
        return []  # on SQLite even an UPDATE of no row waits for its turn to write
    message = f"the worker fell silent in each of {max_attempts} attempts; see the log of its machine"
    failed = {"status": "failed", "finished_at": now, "phase": "", "error_code": WORKER_LOST, "error_message": message}
    _changed(session, lost & _NOT_TO_STOP & (Job.attempt - Job.excused >= max_attempts), failed)
    queued = _changed(session, lost & _NOT_TO_STOP, _queued(now))
    _changed(session, lost & ~_NOT_TO_STOP, _cancelled(now))  # also where the wish came since then
    return queued


def _in_line(kinds: Sequence[str] | None, now: datetime) -> Any:
    query = select(Job.job_id).where(Job.status == "queued", Job.not_before <= now)
    query = query if kinds is None else query.where(Job.kind.in_(kinds))
    return query.order_by(Job.not_before, Job.job_id)


def _held(claim: JobClaim) -> ColumnElement[bool]:
    """The row, as long as the claim holds."""
    return and_(Job.job_id == claim.job_id, Job.attempt == claim.attempt, Job.status == "running")


def _write(session: Session, claim: JobClaim, values: Mapping[str, Any]) -> None:
    if not _changed(session, _held(claim), values):
        raise JobLost(claim.job_id, claim.attempt)


def _changed(session: Session, where: ColumnElement[bool], values: Mapping[str, Any]) -> list[UUID]:
    statement = update(Job).where(where).values(**values).returning(Job.job_id)
    return list(session.scalars(statement, execution_options=_PLAIN))


def _queued(at: datetime) -> dict[str, Any]:
    return {"status": "queued", "not_before": at, "heartbeat_at": None, "progress": 0.0, "phase": ""}


def _cancelled(at: datetime) -> dict[str, Any]:
    return {"status": "cancelled", "finished_at": at, "phase": ""}
