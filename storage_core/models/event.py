"""`backtest_events`: who did what to a backtest, and when."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from storage_core.db import Base, utc_now


class BacktestEvent(Base):
    """One line of a backtest's log: submitted, claimed, requeued, completed, ... with its attempt and machine."""

    __tablename__ = "backtest_events"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    task_id: Mapped[UUID] = mapped_column(ForeignKey("backtest_results.task_id", ondelete="CASCADE"))
    at: Mapped[datetime] = mapped_column(default=utc_now)
    kind: Mapped[str] = mapped_column(String(40))
    attempt: Mapped[int | None]
    actor: Mapped[str] = mapped_column(String(100), default="")
    host: Mapped[str] = mapped_column(String(255), default="")
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)

    __table_args__ = (Index(None, "task_id", "id"),)
