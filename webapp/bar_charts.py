"""Candles of stored bars: cut to what is visible, joined so that a chart never gets too many."""

from __future__ import annotations

from typing import Any

from engine.spec import TIMEFRAMES
from storage_core.bar_store import BarStore
from storage_core.errors import NoBars
from storage_core.settings import Settings
from webapp import sampling
from webapp.charts import FORMAT, Window, bars_of, compact_json, digest, extent_of, visible
from webapp.localtime import to_chart


def version(store: BarStore, symbol: str, timeframe: str) -> str:
    """What the candles are drawn from."""
    return digest(["stored", FORMAT, symbol, timeframe, str(store.state(symbol, timeframe))])


def stored_candles_json(settings: Settings, store: BarStore, name: tuple[str, str], window: Window) -> str:
    """The answer for a window of the bars `name`, (symbol, timeframe). Raises NoBars when it shows none."""
    symbol, timeframe = name
    bars = bars_of(settings, store, symbol, timeframe)
    seen = visible(bars.timestamp, window)
    if seen.start == seen.stop:
        raise NoBars(symbol, timeframe, "other times")
    seconds = bars.timestamp[seen] // 1_000_000
    size = sampling.bucket_seconds(TIMEFRAMES[timeframe], float(seconds[-1] - seconds[0]))
    prices = {one: getattr(bars, one)[seen] for one in ("open", "high", "low", "close", "volume")}
    made = sampling.candles(prices, seconds, size)
    answer: dict[str, Any] = {
        "t": to_chart(made["time"].tolist(), window.zone),
        **{one[0]: sampling.short(made[one], 9) for one in prices},
        "complete": size == TIMEFRAMES[timeframe],
        "range": extent_of(bars.timestamp, window.zone),
        "lines": [], "equity": [], "drawdown": [], "marks": [], "hidden": 0,
    }  # fmt: skip
    return compact_json(answer)
