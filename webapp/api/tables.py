"""Tables of a result as the API gives them. Loads pyarrow, so only where a result is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from storage_core import result_store
from storage_core.models import Backtest
from storage_core.settings import Settings
from webapp import curves, sampling
from webapp.api.answers import Equity, TradeList, TradeRow
from webapp.api.requests import EquityQuery, TradesQuery
from webapp.curves import Curve

ORDER = [("timestamp", "ascending"), ("symbol", "ascending"), ("signal_index", "ascending")]


def trades(settings: Settings, backtest: Backtest, query: TradesQuery) -> TradeList:
    """One page of the trades."""
    table = result_store.read_table(settings, backtest, "symbol_signals", symbol=query.symbol).sort_by(ORDER)
    rows = table.slice(query.after, query.size).to_pylist()
    return TradeList(
        trades=[_trade(row, query.after + index) for index, row in enumerate(rows)],
        total=table.num_rows,
        next=_next(query.after, query.size, table.num_rows),
    )


def equity(settings: Settings, backtest: Backtest, query: EquityQuery) -> Equity:
    """The curve of a symbol or of all: some points of it, or one page of its bars."""
    curve, start = _curve(settings, backtest, query.symbol)
    drawdown = curves.drawdown(curve.value, start)
    if query.size is not None:
        kept: Any = slice(query.after, query.after + query.size)
    else:
        kept = sampling.shared_indices([curve.value, drawdown], query.points) if len(curve) else slice(0)
    stamps = np.datetime_as_string(curve.timestamp[kept].astype("datetime64[us]"), unit="us", timezone="UTC")
    return Equity(
        symbol=query.symbol,
        sampled=query.size is None and len(stamps) < len(curve),
        timestamp=stamps.tolist(),
        equity=curve.value[kept].tolist(),
        drawdown_pct=drawdown[kept].tolist(),
        total=len(curve),
        next=None if query.size is None else _next(query.after, query.size, len(curve)),
    )


def _curve(settings: Settings, backtest: Backtest, symbol: str | None) -> tuple[Curve, float]:
    if symbol is None:
        return curves.equity_curve(settings, backtest), curves.start_cash(backtest)
    names = ["timestamp", "equity"]
    table = result_store.read_table(settings, backtest, "performance_curve", columns=names, symbol=symbol)
    return Curve(curves.micros_of(table["timestamp"]), table["equity"].to_numpy()), curves.cash(backtest)


def _next(after: int, size: int, total: int) -> int | None:
    return after + size if after + size < total else None


def _trade(row: Mapping[str, Any], number: int) -> TradeRow:
    same = {name: _defined(row[name]) for name in TradeRow.model_fields if name in row}
    return TradeRow.model_validate(
        {
            **same,
            "number": number,
            "side": "long" if row["type"] == "buy" else "short",
            "entry_at": row["timestamp"],
            "exit_at": row["exit_timestamp"],
            "fee": _defined(row["fee_amount"]),
            "slippage": _defined(row["slippage_amount"]),
        }
    )


def _defined(value: Any) -> Any:
    """JSON knows no NaN: a value that is not defined is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
