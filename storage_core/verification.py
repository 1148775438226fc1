"""Asking for a backtest to be run again and compared with its stored result, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from storage_core import backtests
from storage_core.errors import NotVerifiable
from storage_core.models import Backtest, BacktestEvent


def create_verification(
    session: Session,
    task_id: UUID,
    *,
    owner_id: int | None,
    by: str,
    new_id: UUID | None = None,
    now: datetime | None = None,
) -> Backtest:
    """Queue a new backtest (with `new_id`, when given) of the very spec of the completed backtest `task_id`.

    It is to be sent like any other, and the log of the original says that `by` asked. The worker stores what it found
    in the new row's `metadata_["verification"]`: `of`, `outcome` ("identical", "different", "unreadable"),
    `first_difference`, `changed`. Raises BacktestNotFound and NotVerifiable.
    """
    original = backtests.get(session, task_id)
    if original.status != "completed":
        raise NotVerifiable(task_id, f"is {original.status}")
    if original.source == "legacy":
        raise NotVerifiable(task_id, "was not computed here")
    again = backtests.create(
        session,
        spec=original.spec,
        owner_id=owner_id,
        source="verify",
        task_id=new_id,
        metadata={"verification": {"of": str(task_id)}},
        now=now,
    )
    backtests.add_event(session, task_id, "verify_asked", actor=by, detail={"task_id": str(again.task_id)}, now=now)
    return again


def latest_verification(events: Sequence[BacktestEvent]) -> UUID | None:
    """The backtest that was last asked to verify the one whose log this is; None = nobody has asked."""
    asked = [event.detail["task_id"] for event in events if event.kind == "verify_asked"]
    return UUID(asked[-1]) if asked else None
