"""`presets`: the fields of a backtest under a name, to be filled in again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from storage_core.db import Base, utc_now


class Preset(Base):
    """Named params (and costs, sizing, exits) of one strategy; a shared one is there for everybody to load."""

    __tablename__ = "presets"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    strategy: Mapped[str] = mapped_column(String(100))
    name: Mapped[str] = mapped_column(String(80))
    fields: Mapped[dict[str, Any]]
    shared: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now)

    __table_args__ = (
        Index(None, "owner_id", "strategy", "name", unique=True),
        Index(None, "strategy", "shared"),
    )
