"""`jobs`: long work beside backtests, such as fetching bars or taking a backup."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Double, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from storage_core.db import Base, utc_now
from storage_core.models.backtest import STATUSES


class Job(Base):
    """A request for long work and its life, told with the same words as a backtest's.

    `kind` names the function that does it, `args` is what that function needs, `state` what it has reached so far (a
    later attempt goes on from there), `outcome` what came of it.
    """

    __tablename__ = "jobs"

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    args: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[dict[str, Any]] = mapped_column(default=dict)
    outcome: Mapped[dict[str, Any]] = mapped_column(default=dict)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    status: Mapped[str] = mapped_column(String(20), default="queued")
    attempt: Mapped[int] = mapped_column(default=0)
    excused: Mapped[int] = mapped_column(default=0)  # attempts that a graceful stop ended: they do not count
    progress: Mapped[float] = mapped_column(Double, default=0.0)
    phase: Mapped[str] = mapped_column(String(200), default="")
    worker: Mapped[str] = mapped_column(String(255), default="")
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    not_before: Mapped[datetime] = mapped_column(default=utc_now)
    started_at: Mapped[datetime | None]
    heartbeat_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    error_code: Mapped[str | None] = mapped_column(String(60))
    error_message: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        CheckConstraint(f"status IN ({', '.join(repr(status) for status in STATUSES)})", name="status"),
        Index(None, "kind", "created_at"),
        Index(None, "status", "not_before"),
    )
