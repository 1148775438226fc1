"""Bars and specs for tests, and the real ones where the shared folder is there."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from engine.bars import Bars
from engine.catalog import STRATEGIES
from engine.spec import BacktestSpec

MINUTE = 60_000_000
SHARED = Path(__file__).parents[3] / "shared"


def bars_of(rows, *, step=MINUTE) -> Bars:
    """Bars from (open, high, low, close[, volume]) rows."""
    table = np.array([(*row, 1.0)[:5] if len(row) == 4 else row for row in rows], dtype=float)
    return Bars(np.arange(len(table), dtype=np.int64) * step, *np.ascontiguousarray(table.T))


def flat_bars(closes, *, step=MINUTE) -> Bars:
    """Bars that stand still at each close."""
    return bars_of([(close, close, close, close) for close in closes], step=step)


def random_bars(rng, n, *, price=100.0, spread=0.02, decimals=2, step=MINUTE) -> Bars:
    """A random walk with gaps between bars, short decimals, and some bars without height or volume."""
    close = price * np.exp(np.cumsum(rng.normal(0, spread, n)))
    open_ = np.r_[price, close[:-1]] * np.where(rng.random(n) < 0.3, np.exp(rng.normal(0, spread, n)), 1.0)
    high = np.maximum(open_, close) * (1 + np.abs(rng.normal(0, spread, n)))
    low = np.minimum(open_, close) * (1 - np.minimum(np.abs(rng.normal(0, spread, n)), 0.9))
    still = rng.random(n) < 0.05
    open_, high, low = (np.where(still, close, column) for column in (open_, high, low))
    columns = [np.maximum(np.round(column, decimals), 10.0**-decimals) for column in (open_, high, low, close)]
    volume = np.round(rng.exponential(10, n), 3) * (rng.random(n) > 0.05)
    return Bars(np.arange(n, dtype=np.int64) * step, *columns, volume)


def spec_of(strategy="sma_cross", params=None, **fields) -> BacktestSpec:
    """A spec with defaults for what a test does not care about."""
    known = STRATEGIES.get(strategy)
    defaults = {param.name: param.default for param in known.params} if known else {}
    return BacktestSpec(
        strategy=strategy,
        params={**defaults, **(params or {})},
        symbols=("USD-BTC",),
        timeframe="1m",
        start_date=date(2024, 1, 1),
        end_date=date(2024, 12, 31),
        **fields,
    )


def real_bars(name: str) -> Bars:
    """Bars of the shared folder; skips the test where it is missing."""
    path = SHARED / "data" / "candles" / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"needs {path.name} of ../shared/data/candles")
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    return Bars(
        table["timestamp"].cast("int64").to_numpy(),
        *(table[name].to_numpy() for name in ("open", "high", "low", "close", "volume")),
    )
