"""Trades of a result, a page at a time, numbered in the order of their entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypedDict

from storage_core import result_store
from storage_core.models import Backtest
from storage_core.settings import Settings

PAGE: Final = 50


class Trade(TypedDict):
    """One round trip, as stored."""

    number: int
    symbol: str
    side: str
    entry_at: datetime
    exit_at: datetime | None
    entry_price: float
    exit_price: float | None
    quantity: float
    pnl: float | None
    return_pct: float | None
    hold_bars: int | None
    costs: float
    exit_reason: str
    mae_pct: float | None
    mfe_pct: float | None
    open: bool


@dataclass(frozen=True)
class TradesPage:
    """Some trades, newest first, and where they stand among all."""

    trades: Sequence[Trade]
    total: int
    page: int
    pages: int


def read_trades(settings: Settings, backtest: Backtest, *, page: int = 1, size: int = PAGE) -> TradesPage:
    """The `page`-th page (1 = newest); a page beyond the last one is the last one."""
    import numpy as np
    import pyarrow as pa

    table = result_store.read_table(settings, backtest, "symbol_signals")
    entered = table["timestamp"].cast("int64").to_numpy()
    total = len(entered)
    pages = max(1, -(-total // size))
    page = min(max(page, 1), pages)
    newest_first = np.argsort(entered, kind="stable")[::-1]
    first = total - (page - 1) * size
    rows = [table.slice(index, 1) for index in newest_first[(page - 1) * size : page * size].tolist()]
    # Not table.take: given an array, pyarrow looks for pandas, which the web process must not load.
    listed = pa.concat_tables(rows).to_pylist() if rows else []
    return TradesPage([_trade(row, first - index) for index, row in enumerate(listed)], total, page, pages)


def read_symbols(settings: Settings, backtest: Backtest) -> list[dict[str, Any]]:
    """The summary of each symbol, as stored, best first."""
    rows: list[dict[str, Any]] = result_store.read_table(settings, backtest, "symbol_summary").to_pylist()
    return sorted(rows, key=lambda row: -(row["total_pnl_pct"] if row["total_pnl_pct"] is not None else -1e300))


def _trade(row: Mapping[str, Any], number: int) -> Trade:
    return {
        "number": number,
        "symbol": row["symbol"],
        "side": "long" if row["type"] == "buy" else "short",
        "entry_at": row["timestamp"],
        "exit_at": row["exit_timestamp"],
        "entry_price": row["entry_price"],
        "exit_price": row["exit_price"],
        "quantity": row["quantity"],
        "pnl": row["pnl"],
        "return_pct": row["return_pct"],
        "hold_bars": row["hold_bars"],
        "costs": (row["fee_amount"] or 0.0) + (row["slippage_amount"] or 0.0),
        "exit_reason": row["exit_reason"] or row["status"],
        "mae_pct": row["mae_pct"],
        "mfe_pct": row["mfe_pct"],
        "open": row["status"] == "open",
    }
