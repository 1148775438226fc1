"""Backtests and results for the tests of the pages, stored by the real store; the arrays are made up, not computed."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Engine

from engine.catalog import STRATEGIES
from engine.spec import parse_spec, spec_to_dict
from storage_core import backtests, result_store
from storage_core.bar_store import BarStore
from storage_core.bar_table import BarTable, fingerprint
from storage_core.db import session_scope
from storage_core.result_store import ResultTables
from storage_core.schemas import SCHEMAS
from storage_core.settings import Settings
from workers.compute import compute

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = 3_600_000_000
CASH = 10_000_000.0


def bars(count: int = 500, *, start: datetime = FIRST, step: int = HOUR, seed: int = 7) -> BarTable:
    """A random walk around 50 million."""
    random = np.random.default_rng(seed)
    close = 50_000_000 * np.exp(np.cumsum(random.normal(0.0002, 0.006, count)))
    open_ = np.concatenate([[50_000_000.0], close[:-1]])
    wick = 1 + np.abs(random.normal(0, 0.002, count))
    timestamp = int(start.timestamp() * 1_000_000) + np.arange(count) * step
    volume = random.gamma(2.0, 30.0, count)
    return BarTable(timestamp, open_, np.maximum(open_, close) * wick, np.minimum(open_, close) / wick, close, volume)


def spec(**changes: Any) -> dict[str, Any]:
    """A sound request for the bars above."""
    raw = {
        "strategy": "sma_cross",
        "params": {"fast": 24, "slow": 96},
        "symbols": ["KRW-BTC"],
        "timeframe": "1h",
        "start_date": "2024-01-01",
        "end_date": "2024-01-21",
        "initial_cash": CASH,
    }
    return spec_to_dict(parse_spec({**raw, **changes}))


def queue(engine: Engine, *, owner_id: int | None = 1, source: str = "web", **changes: Any) -> uuid.UUID:
    """A backtest that waits for a worker."""
    with session_scope(engine) as session:
        return backtests.create(session, spec=spec(**changes), owner_id=owner_id, source=source).task_id


def start(engine: Engine, task_id: uuid.UUID, *, progress: float = 0.62) -> backtests.Claim:
    """Take it as a worker would, and report some progress."""
    with session_scope(engine) as session:
        claim = backtests.claim(session, task_id, worker="tester-1")
        assert claim is not None
        backtests.set_progress(session, claim, progress=progress, phase="simulating")
    return claim


def complete(engine: Engine, settings: Settings, *, count: int = 500, trades: int = 60, **changes: Any) -> uuid.UUID:
    """A finished backtest of `count` bars a symbol, whose bars are stored too."""
    changes.setdefault("end_date", f"{FIRST + timedelta(hours=count - 1):%Y-%m-%d}")
    task_id = queue(engine, **changes)
    claim = start(engine, task_id)
    made = {symbol: bars(count, seed=index) for index, symbol in enumerate(claim.spec["symbols"])}
    for symbol, table in made.items():
        BarStore(settings.bars_dir).merge(symbol, claim.spec["timeframe"], table, wins="new")
    tables = ResultTables(
        symbol_summary=_summary(list(made), trades),
        symbol_signals=_join("symbol_signals", [_trades(symbol, table, trades) for symbol, table in made.items()]),
        performance_curve=_join("performance_curve", [_curve(symbol, table) for symbol, table in made.items()]),
    )
    result_store.save(engine, settings, claim, tables, metrics=metrics(trades), metadata=metadata(made))
    return task_id


def equity(table: BarTable) -> np.ndarray:
    """In the market every other day."""
    returns = np.diff(table.close, prepend=table.close[0]) / np.concatenate([[table.close[0]], table.close[:-1]])
    inside = (np.arange(len(table)) // 24) % 2 == 0
    return CASH * np.cumprod(1 + returns * inside)


def metrics(trades: int) -> dict[str, Any]:
    """Figures as the worker stores them."""
    return {
        "total_return_pct": 41.873, "final_equity": 14_187_300.0, "sharpe": 1.5812, "sortino": 2.401, "calmar": None,
        "max_drawdown_pct": 14.5512, "max_drawdown_days": 81.25, "win_rate_pct": 35.384, "profit_factor": 1.4831,
        "payoff_ratio": 2.71, "exposure_pct": 37.8, "time_in_market_pct": 37.84, "trade_count": trades,
        "fees": 860_212.7, "slippage": 340_001.2,
        "buy_and_hold_return_pct": 79.7123, "break_even_cost_pct": 0.3123, "cagr_pct": 41.9,
        "expectancy": 64_412.5, "max_drawdown_start": 1_704_067_200_000_000, "max_drawdown_end": 1_704_667_200_000_000,
    }  # fmt: skip


def metadata(made: dict[str, BarTable]) -> dict[str, Any]:
    """What a worker says about a result."""
    total = sum(len(table) for table in made.values())
    return {
        "bars": total,
        "sparkline": equity(next(iter(made.values())))[:: max(1, total // 40)].tolist()[:40],
        "lookahead": {"ok": True, "prefixes": 24, "first_bar": None},
        "ambiguous": {"bars": 0, "best_return_pct": 41.873, "worst_return_pct": 41.873},
        "data_quality": {
            "missing_bars": 4,
            "largest_gap_seconds": 7200,
            "largest_gap_at": "2024-01-12T00:00:00+00:00",
        },
        "data": {symbol: _facts(table) for symbol, table in made.items()},
        "versions": {"engine": "1.0", "python": "3.11.9", "numba": "0.68.0"},
        "seconds": {"read": 0.01, "simulate": 0.05, "metrics": 0.02},
        "unfilled_orders": 0,
    }


def _facts(table: BarTable) -> dict[str, Any]:
    first, last = (FIRST + timedelta(hours=hours) for hours in (0, len(table) - 1))
    return {"rows": len(table), "first": first.isoformat(), "last": last.isoformat(), "sha256": fingerprint(table)}


def _summary(symbols: list[str], trades: int) -> pa.Table:
    figures = {
        "win_rate": 35.384, "avg_return": 0.641, "max_return": 21.5, "min_return": -4.125, "max_drawdown": 14.5512,
        "avg_hold_bars": 51.25, "total_signals": trades, "winning_signals": trades // 3,
        "losing_signals": trades - trades // 3, "total_pnl": 4_187_300.0, "total_pnl_pct": 41.873,
    }  # fmt: skip
    rows = [{"symbol": symbol, **figures} for symbol in symbols]
    return pa.Table.from_pylist(rows, schema=SCHEMAS["symbol_summary"])


def _curve(symbol: str, table: BarTable) -> dict[str, Any]:
    value = equity(table)
    return {
        "symbol": [symbol] * len(table),
        "idx": np.arange(len(table), dtype=np.int32),
        "timestamp": table.timestamp,
        "equity": value,
        "drawdown": (1 - value / np.maximum.accumulate(np.maximum(value, CASH))) * 100,
        "cumulative_pnl": value - CASH,
        "cumulative_pnl_pct": (value / CASH - 1) * 100,
    }


def _trades(symbol: str, table: BarTable, count: int) -> dict[str, Any]:
    """Round trips spread over the bars; the last one is still open."""
    entry = np.linspace(0, len(table) - 5, count).astype(int) if count else np.empty(0, int)
    exit_ = entry + 3
    paid, got = table.open[entry], table.open[exit_].copy()
    change = got / paid - 1
    ended = np.arange(count) < count - 1
    return {
        "symbol": [symbol] * count,
        "signal_index": np.arange(count, dtype=np.int32),
        "timestamp": table.timestamp[entry],
        "type": ["buy"] * count,
        "entry_price": paid,
        "exit_price": pa.array(got, mask=~ended),
        "quantity": np.full(count, 0.0808123),
        "return_pct": change * 100,
        "hold_bars": np.full(count, 3, np.int32),
        "fee_amount": np.full(count, 8_012.5),
        "slippage_amount": np.full(count, 1_600.25),
        "status": ["closed" if done else "open" for done in ended],
        "exit_timestamp": pa.array(table.timestamp[exit_], pa.timestamp("us", tz="UTC"), mask=~ended),
        "pnl": change * paid * 0.0808123,
        "exit_reason": [
            ("signal", "stop", "target")[index % 3] if done else "open" for index, done in enumerate(ended)
        ],
        "mae_pct": -np.abs(change) * 60,
        "mfe_pct": np.abs(change) * 120,
    }


def _join(name: str, parts: list[dict[str, Any]]) -> pa.Table:
    schema = SCHEMAS[name]
    tables = [pa.table([_array(part[field.name], field) for field in schema], schema=schema) for part in parts]
    return pa.concat_tables(tables).combine_chunks()


def _array(values: Any, field: pa.Field) -> pa.Array:
    if isinstance(values, pa.Array):
        return values.cast(field.type)
    return pa.array(values).cast(field.type)


class _Nobody:
    """Follows a run without a word."""

    def report(self, progress: float, phase: str) -> None:
        """Nobody listens."""

    def check(self) -> None:
        """Nobody stops it."""


def computed(engine: Engine, settings: Settings, **changes: Any) -> uuid.UUID:
    """A backtest that the real engine ran on bars that are stored already."""
    task_id = queue(engine, **changes)
    claim = start(engine, task_id)
    made = compute(settings, claim.spec, _Nobody(), STRATEGIES)
    result_store.save(engine, settings, claim, made.tables, metrics=made.metrics, metadata=made.metadata)
    return task_id
