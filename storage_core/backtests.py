"""The life of a backtest: queued, running, then completed, failed or cancelled.

Functions take a session and never commit; the caller's `session_scope` does, in short transactions. Every step is
one conditional UPDATE that counts only when exactly one row changed, so two workers can never own one backtest, and
every write of a running attempt asks for its attempt number: an old attempt that comes back can write nothing.

Times come from the caller's clock (`now`); machines that share a database must keep their clocks within seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal, TypeAlias
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.orm import Session

from storage_core import fair_queue
from storage_core.backtest_filters import UNFINISHED
from storage_core.backtest_list import Page, list_page
from storage_core.db import utc_now
from storage_core.errors import BacktestNotFound, ClaimLost, NotCancellable
from storage_core.events import Kind, add_event, add_events, events
from storage_core.logs import current_request_id
from storage_core.models import Backtest
from storage_core.models.backtest import SOURCES
from storage_core.names import storable_text

__all__ = [
    "MAX_ATTEMPTS", "Beat", "Claim", "Page", "add_event", "cancel", "claim", "claim_next", "completion", "counts",
    "create", "events", "fail", "finish", "get", "heartbeat", "list_page", "look", "mark_cancelled",
    "release", "requeue_lost", "revive", "set_progress",
]  # fmt: skip

Beat: TypeAlias = Literal["ok", "cancel", "lost"]

WORKER_LOST = "worker_lost"
MAX_ATTEMPTS = 3
LONGEST_MESSAGE = 10_000
_CANCEL_TRIES = 3
_PLAIN = {"synchronize_session": False}  # rows are read afresh by `get`, never patched in memory
_NOT_TO_STOP = Backtest.cancel_requested_at.is_(None)


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to run one attempt of a backtest, and what to run."""

    task_id: UUID
    attempt: int
    spec: Mapping[str, Any]
    worker: str = ""
    source: str = field(default="", compare=False)
    tries: int = field(default=1, compare=False)  # attempts that count, this one included
    request_id: str = field(default="", compare=False)  # of the request that submitted it


def create(
    session: Session,
    *,
    spec: Mapping[str, Any],
    owner_id: int | None,
    source: str,
    task_id: UUID | None = None,
    metadata: Mapping[str, Any] | None = None,
    now: datetime | None = None,
) -> Backtest:
    """Insert a queued backtest for `spec` (the full mapping of `spec_to_dict`). The id is known before the commit.

    `task_id` None = a new one; a given one that exists already is an IntegrityError. `metadata` is what its row
    says until the result's own metadata takes its place; with it stands the `request_id` of the request at work, so
    that the worker's log can name it.
    """
    if source not in SOURCES:
        raise ValueError(f"source is {source!r}; allowed: {', '.join(SOURCES)}")
    now = now or utc_now()
    backtest = Backtest(
        task_id=task_id or uuid4(),
        strategy=spec["strategy"],
        params=dict(spec["params"]),
        symbols=list(spec["symbols"]),
        start_date=date.fromisoformat(spec["start_date"]),
        end_date=date.fromisoformat(spec["end_date"]),
        timeframe=spec["timeframe"],
        spec=dict(spec),
        status="queued",
        owner_id=owner_id,
        source=source,
        metadata_={**(metadata or {}), **({"request_id": asked_by} if (asked_by := current_request_id()) else {})},
        created_at=now,
        updated_at=now,
        queued_at=now,
        **fair_queue.place(session, owner_id=owner_id, spec=spec, now=now),
    )
    session.add(backtest)
    session.flush()
    add_event(session, backtest.task_id, "submitted", actor=source, detail={"owner_id": owner_id}, now=now)
    return backtest


def get(session: Session, task_id: UUID) -> Backtest:
    """The row of `task_id` as it is now, deleted ones included; raises BacktestNotFound."""
    backtest = session.get(Backtest, task_id, populate_existing=True)
    if backtest is None:
        raise BacktestNotFound(task_id)
    return backtest


def claim(session: Session, task_id: UUID, *, worker: str, now: datetime | None = None) -> Claim | None:
    """Take a queued backtest for `worker`: running, next attempt. None = somebody else has it, or it has ended."""
    return _claim(session, Backtest.task_id == task_id, worker, now or utc_now())


def claim_next(session: Session, *, worker: str, now: datetime | None = None) -> Claim | None:
    """Take the queued backtest whose turn it is (`fair_queue`); None = none is waiting."""
    now = now or utc_now()
    return _claim(session, Backtest.task_id == fair_queue.next_in_line(now), worker, now)


def _claim(session: Session, where: ColumnElement[bool], worker: str, now: datetime) -> Claim | None:
    running = {"status": "running", "started_at": now, "heartbeat_at": now, "progress": 0.0, "phase": ""}
    taken = session.execute(
        update(Backtest)
        .where(where, Backtest.status == "queued")
        .values(attempt=Backtest.attempt + 1, **running)
        .returning(
            Backtest.task_id,
            Backtest.attempt,
            Backtest.spec,
            Backtest.source,
            Backtest.excused,
            Backtest.metadata_["request_id"].as_string().label("asked_by"),
        ),
        execution_options=_PLAIN,
    ).one_or_none()
    if taken is None:
        return None
    add_event(session, taken.task_id, "claimed", attempt=taken.attempt, actor=worker, now=now)
    tries = taken.attempt - taken.excused
    return Claim(taken.task_id, taken.attempt, taken.spec, worker, taken.source, tries, taken.asked_by or "")


def heartbeat(session: Session, claim: Claim, *, now: datetime | None = None) -> Beat:
    """Say that the attempt lives. "cancel" = a person wants it to stop; "lost" = it is no longer this attempt's."""
    beaten = session.execute(
        update(Backtest)
        .where(_held(claim))
        .values(heartbeat_at=now or utc_now())
        .returning(Backtest.cancel_requested_at),
        execution_options=_PLAIN,
    ).one_or_none()
    if beaten is None:
        return "lost"
    return "ok" if beaten.cancel_requested_at is None else "cancel"


def look(session: Session, claim: Claim) -> Beat:
    """What `heartbeat` would answer, without writing: cheap enough to ask ten times a second."""
    held = session.execute(select(Backtest.cancel_requested_at).where(_held(claim))).one_or_none()
    if held is None:
        return "lost"
    return "ok" if held.cancel_requested_at is None else "cancel"


def set_progress(session: Session, claim: Claim, *, progress: float, phase: str, now: datetime | None = None) -> None:
    """Store how far the attempt is (0..1, also a sign of life) and what it does; raises ClaimLost."""
    if math.isnan(progress):
        raise ValueError("progress is not a number")
    _write(
        session,
        claim,
        {"progress": min(max(progress, 0.0), 1.0), "phase": phase[:40], "heartbeat_at": now or utc_now()},
    )


def completion(at: datetime) -> dict[str, Any]:
    """The columns, besides those of the result, that make a row completed at this instant."""
    return {
        "status": "completed",
        "progress": 1.0,
        "phase": "",
        "finished_at": at,
        "error_code": None,
        "error_message": None,
    }


def finish(session: Session, claim: Claim, columns: Mapping[str, Any]) -> None:
    """Write `columns`, among them those of `completion`; only `result_store.save` calls this. Raises ClaimLost."""
    _write(session, claim, columns)
    add_event(
        session, claim.task_id, "completed", attempt=claim.attempt, actor=claim.worker, now=columns["finished_at"]
    )


def fail(session: Session, claim: Claim, *, code: str, message: str, now: datetime | None = None) -> None:
    """End the attempt as failed, with a stable `code` and a sentence for people; raises ClaimLost."""
    now, message = now or utc_now(), storable_text(message, LONGEST_MESSAGE)
    _write(
        session,
        claim,
        {"status": "failed", "finished_at": now, "error_code": code[:60], "error_message": message, "phase": ""},
    )
    detail = {"code": code, "message": message}
    add_event(session, claim.task_id, "failed", attempt=claim.attempt, actor=claim.worker, detail=detail, now=now)


def release(
    session: Session,
    claim: Claim,
    *,
    reason: str,
    delay: timedelta = timedelta(0),
    excused: bool = False,
    now: datetime | None = None,
) -> None:
    """Give the backtest back to the queue (an error worth a retry, a graceful stop); raises ClaimLost.

    A backtest that a person wanted to stop is cancelled instead. Nobody claims it by its turn before `delay` is over,
    for a backoff. `excused`: the attempt does not count against the most there may be.
    """
    now, reason = now or utc_now(), storable_text(reason, LONGEST_MESSAGE)
    kind: Kind = "released"
    again = {**_queued(now + delay), "excused": Backtest.excused + int(excused)}
    if not _changed(session, _held(claim) & _NOT_TO_STOP, again):  # first, as the wish to stop may come at any moment
        _write(session, claim, _cancelled(now))
        kind = "cancelled"
    detail = {"reason": reason, "again_in_seconds": delay.total_seconds(), "counts": not excused}
    add_event(session, claim.task_id, kind, attempt=claim.attempt, actor=claim.worker, detail=detail, now=now)


def mark_cancelled(session: Session, claim: Claim, *, now: datetime | None = None) -> None:
    """Confirm that the attempt has stopped because a person wanted it; raises ClaimLost."""
    now = now or utc_now()
    _write(session, claim, _cancelled(now))
    add_event(session, claim.task_id, "cancelled", attempt=claim.attempt, actor=claim.worker, now=now)


def cancel(session: Session, task_id: UUID, *, by: str, now: datetime | None = None) -> Backtest:
    """Stop a backtest: a queued one at once, a running one is asked to; an ended one raises NotCancellable."""
    now = now or utc_now()
    row = Backtest.task_id == task_id
    asked = {"cancel_requested_at": func.coalesce(Backtest.cancel_requested_at, now)}
    for _ in range(_CANCEL_TRIES):  # it may be claimed, or given back, between the two looks
        waiting = row & (Backtest.status == "queued")
        if changed := _change_all(session, waiting, _cancelled(now) | {"cancel_requested_at": now}):
            add_events(session, changed, "cancelled", actor=by, now=now)
            return get(session, task_id)
        if changed := _change_all(session, row & (Backtest.status == "running"), asked):
            add_events(session, changed, "cancel_requested", actor=by, now=now)
            return get(session, task_id)
    raise NotCancellable(task_id, get(session, task_id).status)


def requeue_lost(
    session: Session,
    *,
    silent_for: timedelta = timedelta(seconds=15),
    max_attempts: int = MAX_ATTEMPTS,
    on_failed: Callable[[UUID, int], None] = lambda task_id, attempt: None,
    now: datetime | None = None,
) -> list[UUID]:
    """Take back running backtests whose heart stopped `silent_for` ago; returns those queued again, to be sent.

    One that a person wanted to stop is cancelled; one whose last of `max_attempts` this was fails with the code
    worker_lost, and `on_failed` hears its attempt.
    """
    now = now or utc_now()
    lost = and_(UNFINISHED, Backtest.status == "running", Backtest.heartbeat_at < now - silent_for)
    silence = {"silent_for_seconds": silent_for.total_seconds()}
    failed = _change_all(
        session,
        lost & _NOT_TO_STOP & (Backtest.attempt - Backtest.excused >= max_attempts),
        {
            "status": "failed",
            "finished_at": now,
            "phase": "",
            "error_code": WORKER_LOST,
            "error_message": f"the worker fell silent in each of {max_attempts} attempts; see the log of its machine",
        },
    )
    add_events(session, failed, "failed", actor="clock", detail={"code": WORKER_LOST, **silence}, now=now)
    for task_id, attempt in failed:
        on_failed(task_id, attempt or 0)
    queued = _change_all(session, lost & _NOT_TO_STOP, _queued(now))
    add_events(session, queued, "requeued", actor="clock", detail=silence, now=now)
    cancelled = _change_all(
        session, lost & Backtest.cancel_requested_at.is_not(None), _cancelled(now)
    )  # even since then
    add_events(session, cancelled, "cancelled", actor="clock", detail=silence, now=now)
    return [task_id for task_id, _ in queued]


def revive(session: Session, task_id: UUID, *, by: str, now: datetime | None = None) -> bool:
    """Put a failed backtest back in line with all its attempts to come; False when it is not failed, or deleted."""
    now = now or utc_now()
    known = session.execute(select(Backtest.owner_id, Backtest.spec).where(Backtest.task_id == task_id)).one_or_none()
    if known is None:
        return False
    fresh = {
        **_queued(now),
        **fair_queue.place(session, owner_id=known.owner_id, spec=known.spec, now=now),
        "excused": Backtest.attempt,
        "error_code": None,
        "error_message": None,
        "finished_at": None,
        "cancel_requested_at": None,
    }
    failed = and_(Backtest.task_id == task_id, Backtest.status == "failed", Backtest.deleted_at.is_(None))
    changed = _change_all(session, failed, fresh)
    add_events(session, changed, "retried", actor=by, now=now)
    return bool(changed)


def counts(session: Session, *, statuses: Sequence[str] = ("queued", "running")) -> dict[str, int]:
    """How many backtests have each of `statuses`. The default ones are few and cheap to count at any size."""
    wanted: list[ColumnElement[bool]] = [Backtest.status.in_(statuses), Backtest.deleted_at.is_(None)]
    wanted += [] if "completed" in statuses else [UNFINISHED]
    rows = session.execute(select(Backtest.status, func.count()).where(*wanted).group_by(Backtest.status))
    return dict.fromkeys(statuses, 0) | dict(rows.all())


def _held(claim: Claim) -> ColumnElement[bool]:
    """The row, as long as the claim holds."""
    return and_(Backtest.task_id == claim.task_id, Backtest.attempt == claim.attempt, Backtest.status == "running")


def _write(session: Session, claim: Claim, values: Mapping[str, Any]) -> None:
    if not _changed(session, _held(claim), values):
        raise ClaimLost(claim.task_id, claim.attempt)


def _changed(session: Session, where: ColumnElement[bool], values: Mapping[str, Any]) -> int:
    return len(_change_all(session, where, values))


def _change_all(
    session: Session, where: ColumnElement[bool], values: Mapping[str, Any]
) -> list[tuple[UUID, int | None]]:
    statement = update(Backtest).where(where).values(**values).returning(Backtest.task_id, Backtest.attempt)
    return [(task_id, attempt) for task_id, attempt in session.execute(statement, execution_options=_PLAIN)]


def _queued(at: datetime) -> dict[str, Any]:
    return {"status": "queued", "queued_at": at, "heartbeat_at": None, "progress": 0.0, "phase": ""}


def _cancelled(at: datetime) -> dict[str, Any]:
    return {"status": "cancelled", "finished_at": at, "phase": ""}
