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
    Index,
    String,
    Text,
    false,
    literal_column,
    or_,
    true,
    type_coerce,
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


def _index(name: str, *columns: Any, only: str | None = None, where: Any = None, **options: Any) -> None:
    """An index of this table. `only` one kind of database; `info` tells the comparison of `flask db check` so."""
    parts = {} if where is None else {"postgresql_where": where, "sqlite_where": where}
    index = Index(f"ix_backtest_results_{name}", *columns, **parts, **options)
    if only is not None:
        index.ddl_if(dialect=only)
        index.info["only"] = only
    index.info["of_expression"] = "COLLATE" in str(columns[0])


_newest = (Backtest.created_at.desc(), Backtest.task_id.desc())
_best = (Backtest.sharpe.desc().nulls_last(), Backtest.task_id.desc())
_best_sqlite = (Backtest.sharpe.desc(), Backtest.task_id.desc())  # nulls are smallest there, so they are last anyway
_completed = Backtest.status == "completed"

_index("newest", *_newest)
_index("strategy_status_newest", Backtest.strategy, Backtest.status, *_newest)
_index("owner_newest", Backtest.owner_id, *_newest)
_index("unfinished", Backtest.status, Backtest.created_at.desc(), where=Backtest.status != "completed")
_index("turn", Backtest.turn, Backtest.queued_at, where=Backtest.status == "queued")
_index("flow", Backtest.owner_id, Backtest.lane, Backtest.turn, where=Backtest.status == "queued")
_index("run_key", Backtest.run_key, where=Backtest.run_key.is_not(None))
_index("stores", Backtest.stores, where=_completed & Backtest.deleted_at.is_(None))
_index("deleted", Backtest.deleted_at, where=Backtest.deleted_at.is_not(None))
_index("schedule", Backtest.schedule_id, *_newest, where=Backtest.schedule_id.is_not(None))
_index("for_all", *_newest, where=or_(Backtest.shared == true(), Backtest.owner_id.is_(None)))
_index("noted", *_newest, where=Backtest.note != "")
_index("pinned", *_newest, where=Backtest.pinned == true())
_index("sharpe", *_best, where=_completed, only="postgresql", postgresql_include=["total_return_pct"])
_index("strategy_sharpe", Backtest.strategy, *_best, where=_completed, only="postgresql")
_index("return", Backtest.total_return_pct, where=_completed, only="postgresql", postgresql_include=["sharpe"])
_index(
    "symbols",
    Backtest.symbols,
    only="postgresql",
    postgresql_using="gin",
    postgresql_ops={"symbols": "jsonb_path_ops"},
)
_index("tags", Backtest.tags, only="postgresql", postgresql_using="gin", postgresql_ops={"tags": "jsonb_path_ops"})
# SQLite has no index of what a list holds. The next two let it look for a symbol, a tag or a return in an index that
# it walks anyway, without a look at each row.
_held = (Backtest.symbols, Backtest.tags, Backtest.deleted_at)
_index("held_plain", *_newest, *_held, only="sqlite")
_index("sharpe_plain", *_best_sqlite, *_held, Backtest.total_return_pct, where=_completed, only="sqlite")
_index("strategy_sharpe_plain", Backtest.strategy, *_best_sqlite, where=_completed, only="sqlite")
for _name in METRIC_COLUMNS:
    if _name != "sharpe":
        _metric = getattr(Backtest, _name)
        _has = _completed & _metric.is_not(None)
        _order = (_metric.desc().nulls_last(), Backtest.task_id.desc())  # said as the list says it, or it is not used
        _index(f"by_{_name}", *_order, where=_has, only="postgresql")
        _index(f"by_{_name}_plain", _metric.desc(), Backtest.task_id.desc(), where=_has, only="sqlite")

# Orders of the list by columns that many rows share: A to Z, the latest period first, and then the newest first. Those
# of SQLite have a collation that only the list asks for: it takes any index that fits a filter, and sorts all it finds.
_shared = {name: getattr(Backtest, name) for name in ("strategy", "timeframe", "status", "source")}
_shared["note"] = literal_column(NOTE_START, Text())
_dates = {name: type_coerce(getattr(Backtest, name), Text()) for name in ("start_date", "end_date")}
for _kind, _start in SYMBOLS_START.items():
    _end = "" if _kind == "postgresql" else "_plain"
    for _name, _text in {**_shared, "symbols": literal_column(_start, Text())}.items():
        _where = Backtest.note != "" if _name == "note" else None
        _index(f"by_{_name}{_end}", _text.collate(COLLATIONS[_kind]), *_newest, only=_kind, where=_where)
for _name, _text in _dates.items():
    _index(f"by_{_name}", getattr(Backtest, _name).desc(), *_newest, only="postgresql")
    _index(f"by_{_name}_plain", _text.collate(COLLATIONS["sqlite"]).desc(), *_newest, only="sqlite")
