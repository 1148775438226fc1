"""`alerts`: what is wrong now, or was, and who has been told."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from storage_core.db import Base, utc_now


class Alert(Base):
    """One condition, known by its `key`. While `resolved_at` is None it holds; telling people is noted per message.

    `told_at` and `told_resolved_at` are None until a channel has taken the message; `send_error` says why not yet.
    `told` notes for each channel what it has taken: "open", then "resolved".
    """

    __tablename__ = "alerts"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(40))
    message: Mapped[str] = mapped_column(Text)
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    count: Mapped[int] = mapped_column(default=1)
    first_at: Mapped[datetime] = mapped_column(default=utc_now)
    last_at: Mapped[datetime] = mapped_column(default=utc_now)
    resolved_at: Mapped[datetime | None]
    told_at: Mapped[datetime | None]
    told_resolved_at: Mapped[datetime | None]
    told: Mapped[dict[str, Any]] = mapped_column(default=dict)
    send_error: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (Index(None, "last_at"),)
