"""Results in which everything agrees: order, counts and formulas, as the engine makes them. And results that do not."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Engine

from storage_core import result_store
from storage_core.derive import compute, constants_of
from storage_core.formulas import FORMULAS
from storage_core.result_store import ResultTables
from storage_core.schemas import SCHEMAS
from storage_core.settings import Settings
from tests.storage_core.examples import METADATA, METRICS, claimed, queued

HOUR = 3_600_000_000
START = 1_704_067_200_000_000
SPEC: dict[str, Any] = {
    "initial_cash": 10_000.0,
    "costs": {"fee_rate": 0.001, "slippage_rate": 0.0002},
    "sizing": {"kind": "fraction", "value": 0.5},
}
Columns = dict[str, Any]


def saved(
    engine: Engine,
    settings: Settings,
    tables: ResultTables | None = None,
    *,
    metrics: Mapping[str, Any] = METRICS,
    now: datetime | None = None,
    **changes: Any,
) -> uuid.UUID:
    """A completed backtest with these tables (None: sound ones); `changes` of its spec."""
    claim = claimed(engine, queued(engine, now=now, **{**SPEC, **changes}))
    given = tables or sound_tables(symbols=claim.spec["symbols"])
    result_store.save(engine, settings, claim, given, metrics=metrics, metadata=METADATA)
    return claim.task_id


def sound_tables(
    *,
    symbols: Sequence[str] = ("KRW-BTC",),
    trades: int = 20,
    bars: int = 200,
    change: Callable[[str, Columns], object] = lambda table, columns: None,
) -> ResultTables:
    """Tables whose last trade of each symbol is open; `change(table, columns)` may then spoil them."""
    signals = [_signals(symbol, trades, seed) for seed, symbol in enumerate(sorted(symbols))]
    curves = [_curve(symbol, bars, seed) for seed, symbol in enumerate(sorted(symbols))]
    columns = {
        "symbol_summary": _summary(sorted(symbols), trades),
        "symbol_signals": _joined(signals),
        "performance_curve": _joined(curves),
    }
    for name, made in columns.items():
        change(name, made)
    return ResultTables(**{name: _table(name, made) for name, made in columns.items()})


def _signals(symbol: str, count: int, seed: int) -> Columns:
    random = np.random.default_rng(seed)
    entry = np.round(50_000 * np.exp(random.normal(0, 0.1, count)), 2)
    is_open = np.arange(count) == count - 1
    made: Columns = {
        "symbol": np.zeros(count, dtype=np.int64),
        "type": np.where(random.random(count) < 0.7, 1.0, -1.0),
        "timestamp": START + np.arange(count) * 5 * HOUR,
        "hold_bars": np.full(count, 3),
        "entry_price": entry * 1.0002,
        "exit_price": np.where(is_open, np.nan, np.round(entry * random.normal(1.01, 0.05, count), 2)),
        "quantity": random.uniform(0.01, 1.0, count),
    }
    constants = constants_of(SPEC, 3600)
    for name in ("signal_index", "fee_amount", "pnl", "return_pct", "exit_timestamp"):
        made[name] = compute(FORMULAS["symbol_signals"][name], made, constants)
    made["pnl"][is_open] = -made["fee_amount"][is_open]
    made["return_pct"] = made["pnl"] / (made["quantity"] * made["entry_price"]) * 100.0
    ended = ["open" if one else "closed" for one in is_open]
    return made | {
        "symbol": [symbol] * count,
        "type": ["buy" if side > 0 else "sell" for side in made["type"]],
        "slippage_amount": made["quantity"] * 10.0,
        "status": ended,
        "exit_reason": ["open" if one else "signal" for one in is_open],
        "exit_timestamp": [
            None if one else int(time) for one, time in zip(is_open, made["exit_timestamp"], strict=True)
        ],
        "exit_price": [None if one else float(price) for one, price in zip(is_open, made["exit_price"], strict=True)],
        "mae_pct": np.full(count, -1.5),
        "mfe_pct": np.full(count, 2.5),
    }


def _but_open(values: list[Any]) -> list[Any]:
    return [*values[:-1], None] if values else []


def _curve(symbol: str, count: int, seed: int) -> Columns:
    random = np.random.default_rng(100 + seed)
    made: Columns = {
        "symbol": np.zeros(count, dtype=np.int64),
        "timestamp": START + np.arange(count) * HOUR,
        "equity": 10_000 * np.exp(np.cumsum(random.normal(0, 0.01, count))),
    }
    for name in ("idx", "drawdown", "cumulative_pnl", "cumulative_pnl_pct"):
        made[name] = compute(FORMULAS["performance_curve"][name], made, constants_of(SPEC, 3600))
    return made | {"symbol": [symbol] * count}


def _summary(symbols: Sequence[str], trades: int) -> Columns:
    numbers: Columns = {name: [1.25] * len(symbols) for name in SCHEMAS["symbol_summary"].names}
    counts = {"total_signals": trades, "winning_signals": trades // 2, "losing_signals": trades - trades // 2}
    return {**numbers, "symbol": list(symbols), **{name: [count] * len(symbols) for name, count in counts.items()}}


def _joined(parts: Sequence[Columns]) -> Columns:
    return {
        name: [value for part in parts for value in np.asarray(part[name], dtype=object).tolist()] for name in parts[0]
    }


def _table(name: str, columns: Columns) -> pa.Table:
    return pa.table([pa.array(columns[field.name], field.type) for field in SCHEMAS[name]], schema=SCHEMAS[name])
