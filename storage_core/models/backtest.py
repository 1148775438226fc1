"""`backtest_results`: one row is a backtest's whole life, from its submission."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    String,
    Text,
    false,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage_core.db import Base, utc_now
from storage_core.modes import PARQUET

STATUSES = ("queued", "running", "completed", "failed", "cancelled")
SOURCES = ("web", "api", "schedule", "sweep", "legacy", "sample", "command", "verify")


def metric() -> Mapped[float | None]:
    """A nullable double; None where the metric is not defined, never NaN."""
    return mapped_column(Double)


class Backtest(Base):
    """A request, its life and where its result is.

    `spec` holds the whole resolved request, `params` its strategy part. `sparkline` and `lookahead_ok` repeat what
    `metadata_` also says: they are columns of their own because the list page shows them and must not read the
    heavy `metadata_`. `queued_at` is when it began to wait, `lane` and `turn` its place in line
    (`fair_queue`). `attempt` only ever grows: it tells an old attempt from its successor; `excused` of the attempts do
    not count against the most there may be. `stores` is what a completed one is kept as (`modes`). A `shared` one is
    there for everybody to read.
    """

    __tablename__ = "backtest_results"

    task_id: Mapped[UUID] = mapped_column(primary_key=True)
    strategy: Mapped[str] = mapped_column(String(100))
    symbols: Mapped[list[str]]
    start_date: Mapped[date]
    end_date: Mapped[date]
    timeframe: Mapped[str] = mapped_column(String(10))
    status: Mapped[str] = mapped_column(String(20))
    parquet_path: Mapped[str | None] = mapped_column(String(500))
    file_size: Mapped[int | None] = mapped_column(BigInteger)
    record_count: Mapped[int | None]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(default=utc_now, onupdate=utc_now)

    params: Mapped[dict[str, Any]]
    spec: Mapped[dict[str, Any]]
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    source: Mapped[str] = mapped_column(String(20))
    schedule_id: Mapped[int | None]
    shared: Mapped[bool] = mapped_column(default=False, server_default=false())
    note: Mapped[str] = mapped_column(Text, default="")
    pinned: Mapped[bool] = mapped_column(default=False)
    tags: Mapped[list[str]] = mapped_column(default=list)

    lane: Mapped[str] = mapped_column(String(10), default="short", server_default="short")
    turn: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    attempt: Mapped[int] = mapped_column(default=0)
    excused: Mapped[int] = mapped_column(default=0, server_default="0")
    progress: Mapped[float] = mapped_column(Double, default=0.0)
    phase: Mapped[str] = mapped_column(String(40), default="")
    queued_at: Mapped[datetime] = mapped_column(default=utc_now)
    sent_at: Mapped[datetime | None]  # nothing writes it any more; an older release beside this one still does
    heartbeat_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    error_code: Mapped[str | None] = mapped_column(String(60))
    error_message: Mapped[str | None] = mapped_column(Text)
    cancel_requested_at: Mapped[datetime | None]

    total_return_pct: Mapped[float | None] = metric()
    cagr_pct: Mapped[float | None] = metric()
    volatility_pct: Mapped[float | None] = metric()
    sharpe: Mapped[float | None] = metric()
    sortino: Mapped[float | None] = metric()
    calmar: Mapped[float | None] = metric()
    max_drawdown_pct: Mapped[float | None] = metric()
    win_rate_pct: Mapped[float | None] = metric()
    profit_factor: Mapped[float | None] = metric()
    trade_count: Mapped[int | None]
    exposure_pct: Mapped[float | None] = metric()
    final_equity: Mapped[float | None] = metric()
    buy_and_hold_return_pct: Mapped[float | None] = metric()
    expectancy: Mapped[float | None] = metric()
    sqn: Mapped[float | None] = metric()
    average_trade_pct: Mapped[float | None] = metric()
    fees: Mapped[float | None] = metric()
    sparkline: Mapped[list[float] | None]
    lookahead_ok: Mapped[bool | None]

    run_key: Mapped[str | None] = mapped_column(String(64))
    data_fingerprint: Mapped[str | None] = mapped_column(String(64))
    code_version: Mapped[str | None] = mapped_column(String(100))
    revision: Mapped[int] = mapped_column(default=1)
    stores: Mapped[str] = mapped_column(String(20), default=PARQUET, server_default=PARQUET)
    legacy_sha256: Mapped[str | None] = mapped_column(String(64), unique=True)
    deleted_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(f"status IN ({', '.join(repr(status) for status in STATUSES)})", name="status"),
        CheckConstraint("start_date <= end_date", name="dates"),
        CheckConstraint("progress >= 0 AND progress <= 1", name="progress"),
    )


METRIC_COLUMNS: tuple[str, ...] = (
    "total_return_pct", "cagr_pct", "volatility_pct", "sharpe", "sortino", "calmar", "max_drawdown_pct",
    "win_rate_pct", "profit_factor", "trade_count", "exposure_pct", "final_equity", "buy_and_hold_return_pct",
    "expectancy", "sqn", "average_trade_pct", "fees",
)  # fmt: skip
"""Metrics with a column of their own: what the list can sort and filter by."""
SYMBOLS_START = {"postgresql": "substr(CAST(symbols AS TEXT), 1, 100)", "sqlite": "substr(symbols, 1, 100)"}
COLLATIONS = {"postgresql": "C", "sqlite": "RTRIM"}
NOTE_START = "substr(note, 1, 60)"
"""How text is ordered (by the numbers of its characters), and what of text that an index could not hold."""
