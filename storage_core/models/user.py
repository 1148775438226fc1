"""`users`: who may log in, and how they like to see things."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from storage_core.db import Base, utc_now

ROLES = ("viewer", "trader", "admin")
THEMES = ("auto", "light", "dark")
LANGUAGES = ("", "en", "ko")
"""Of the pages; empty: what the browser asks for."""


class User(Base):
    """An account. `name` is stored in lower case; `password_hash` is argon2id.

    `sessions` is in every session cookie: raising it ends all sessions of the account.
    """

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(20), default="trader")
    timezone: Mapped[str] = mapped_column(String(60), default="UTC")
    theme: Mapped[str] = mapped_column(String(10), default="auto")
    language: Mapped[str] = mapped_column(String(8), default="", server_default="")
    sessions: Mapped[int] = mapped_column(default=0, server_default="0")
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now)
    last_login_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(f"role IN ({', '.join(repr(role) for role in ROLES)})", name="role"),
        CheckConstraint(f"theme IN ({', '.join(repr(theme) for theme in THEMES)})", name="theme"),
    )
