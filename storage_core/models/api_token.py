"""`api_tokens`: keys with which programs call the API in a person's name."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from storage_core.db import Base, utc_now

SCOPES = ("read", "write", "admin")
"""What a token may do; each includes the ones before it."""


class ApiToken(Base):
    """A token, known only by its sha256. `hint` is its beginning, by which people tell their tokens apart."""

    __tablename__ = "api_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(80))
    hint: Mapped[str] = mapped_column(String(12))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    scope: Mapped[str] = mapped_column(String(10))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(f"scope IN ({', '.join(repr(scope) for scope in SCOPES)})", name="scope"),
        Index(None, "owner_id"),
    )
