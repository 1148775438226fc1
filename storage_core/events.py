"""The log of a backtest: who did what, when, in which attempt and on which machine."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from storage_core.db import utc_now
from storage_core.logs import current_request_id
from storage_core.models import BacktestEvent

Kind: TypeAlias = Literal[
    "submitted", "claimed", "requeued", "released", "completed", "failed", "cancel_requested", "cancelled",
    "retried", "discarded", "imported", "adopted", "side_missing", "repaired", "deleted", "restored",
    "verify_asked", "lines_missing",
]  # fmt: skip
"""Every kind of event there is; the pages have words for each."""


def add_event(
    session: Session,
    task_id: UUID,
    kind: Kind,
    *,
    attempt: int | None = None,
    actor: str = "",
    host: str | None = None,
    detail: Mapping[str, Any] | None = None,
    now: datetime | None = None,
) -> None:
    """Append one line to the log of `task_id`. `host` None = this machine. Does not commit."""
    add_events(session, [(task_id, attempt)], kind, actor=actor, host=host, detail=detail, now=now)


def add_events(
    session: Session,
    backtests: Iterable[tuple[UUID, int | None]],
    kind: Kind,
    *,
    actor: str = "",
    host: str | None = None,
    detail: Mapping[str, Any] | None = None,
    now: datetime | None = None,
) -> None:
    """Append the same line to the logs of several backtests, given as (task_id, attempt). Does not commit.

    The detail names the request that led to it (`request_id`), if one did.
    """
    request_id = current_request_id()
    common = {
        "at": now or utc_now(),
        "kind": kind,
        "actor": actor[:100],
        "host": (socket.gethostname() if host is None else host)[:255],
        "detail": {**(detail or {}), **({"request_id": request_id} if request_id else {})},
    }
    rows = [{"task_id": task_id, "attempt": attempt, **common} for task_id, attempt in backtests]
    if rows:
        session.execute(insert(BacktestEvent), rows)


def events(session: Session, task_id: UUID, *, limit: int = 200) -> Sequence[BacktestEvent]:
    """The last `limit` lines of the log of `task_id`, oldest first."""
    newest = (
        select(BacktestEvent).where(BacktestEvent.task_id == task_id).order_by(BacktestEvent.id.desc()).limit(limit)
    )
    return list(reversed(session.scalars(newest).all()))
