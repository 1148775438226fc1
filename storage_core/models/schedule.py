"""`schedules`: backtests that run again on new bars every day or week."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from storage_core.db import Base, utc_now

INTERVALS = ("day", "week")


class Schedule(Base):
    """A spec that is submitted again and again; its backtests carry its id in `schedule_id`.

    `window_days` None keeps the start date of `spec` and lets the period grow; a number moves the start with the end.
    """

    __tablename__ = "schedules"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(80))
    spec: Mapped[dict[str, Any]]
    every: Mapped[str] = mapped_column(String(10))
    window_days: Mapped[int | None]
    active: Mapped[bool] = mapped_column(default=True)
    next_run_at: Mapped[datetime]
    last_run_at: Mapped[datetime | None]
    last_task_id: Mapped[UUID | None]
    last_error: Mapped[str | None] = mapped_column(String(500))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    __table_args__ = (
        CheckConstraint(f"every IN ({', '.join(repr(every) for every in INTERVALS)})", name="every"),
        Index(None, "active", "next_run_at"),
        Index(None, "owner_id"),
    )
