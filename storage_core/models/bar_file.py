"""`bar_files`: with results in S3, which object holds the bars of a symbol and timeframe, and what is in it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from storage_core.db import Base, utc_now


class BarFile(Base):
    """The bars of one symbol and timeframe. A change of `sha256` (of the object's bytes) is the commit of a merge.

    `first` and `last` are microseconds since 1970; `fingerprint` and `quality` as in `Coverage`.
    """

    __tablename__ = "bar_files"

    symbol: Mapped[str] = mapped_column(String(31), primary_key=True)
    timeframe: Mapped[str] = mapped_column(String(10), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    rows: Mapped[int] = mapped_column(BigInteger)
    first: Mapped[int] = mapped_column(BigInteger)
    last: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)
    fingerprint: Mapped[str] = mapped_column(String(64))
    quality: Mapped[dict[str, Any]]
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)
