"""`custom_strategies`: what the workers found in STRATEGIES_DIR and in installed packages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from storage_core.db import Base, utc_now


class CustomStrategy(Base):
    """A person's own strategy, as the workers loaded it. The web lists it from here and never runs its code.

    `params` are the fields of its ParamSpecs; `sha256` is that of its file; `error` says why it could not be loaded.
    """

    __tablename__ = "custom_strategies"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    label: Mapped[str] = mapped_column(String(200))
    help: Mapped[str] = mapped_column(Text)
    params: Mapped[dict[str, Any]]
    source: Mapped[str] = mapped_column(String(500))
    sha256: Mapped[str] = mapped_column(String(64))
    error: Mapped[str | None] = mapped_column(Text)
    loaded_at: Mapped[datetime] = mapped_column(default=utc_now)
