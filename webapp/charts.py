"""Chart data of a result: cut to what is visible, sampled, short."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from engine.spec import TIMEFRAMES
from storage_core import result_store
from storage_core.bar_store import BarStore
from storage_core.models import Backtest
from storage_core.settings import Settings
from webapp import curves, sampling
from webapp.localtime import to_chart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Columns = tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]

MOST_MARKERS: Final = 600
FORMAT: Final = "1"  # part of every ETag: raise it when the shape of the answers changes


Fill = tuple[int, str, str, float]
"""Time in microseconds, entry or exit, buy or sell, price."""


@dataclass(frozen=True)
class Window:
    """What is visible: instants, None for no limit; `zone` for the axis."""

    start: datetime | None
    end: datetime | None
    zone: str


def version(store: BarStore, backtest: Backtest) -> str:
    """What the charts are drawn from: the digests of the result's files, and the state of the bars."""
    files = backtest.metadata_.get("files", {})
    parts = [FORMAT, str(backtest.task_id), *sorted(f"{name}={entry.get('sha256')}" for name, entry in files.items())]
    for one in store.inventory():
        if one.timeframe == backtest.timeframe and one.symbol in backtest.symbols:
            parts.append(f"{one.symbol}:{one.rows}:{one.first}:{one.last}:{one.bytes}")
    return _digest(parts)


def etag(current: str, *more: object) -> str:
    """A strong validator of one answer."""
    return _digest([current, *(str(part) for part in more)])


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:24]


def equity_json(settings: Settings, store: BarStore, backtest: Backtest, window: Window) -> str:
    """Equity, buy and hold and drawdown at shared times."""
    source = _Source(version(store, backtest), lambda: _load(settings, store, backtest))
    timestamp, whole = _columns(source)
    visible = _visible(timestamp, window)
    times, columns = timestamp[visible], {name: column[visible] for name, column in whole.items()}
    keep = sampling.shared_indices(list(columns.values())) if len(times) else np.empty(0, np.int64)
    answer: dict[str, Any] = {
        "t": to_chart((times[keep] // 1_000_000).tolist(), window.zone),
        **{name: sampling.short(column[keep]) for name, column in columns.items()},
        "range": _range(timestamp, window.zone),
        "bars": len(times),
    }
    return _compact(answer)


@dataclass(frozen=True)
class _Source:
    """Where curves come from; equal when the version is."""

    version: str
    load: Callable[[], Columns] = field(compare=False)


@lru_cache(maxsize=2)
def _columns(source: _Source) -> Columns:
    """Whole curves, kept for the zooms that follow: 32 bytes a bar."""
    return source.load()


def _load(settings: Settings, store: BarStore, backtest: Backtest) -> Columns:
    equity = curves.equity_curve(settings, backtest)
    start = curves.cash(backtest) * len(backtest.symbols)
    columns = {"equity": equity.value, "drawdown": curves.drawdown(equity.value, start)}
    held = curves.buy_and_hold(store, backtest, equity.timestamp) if len(equity) else None
    return equity.timestamp, columns if held is None else {**columns, "hold": held}


def candles_json(settings: Settings, store: BarStore, backtest: Backtest, symbol: str, window: Window) -> str:
    """Candles with volume, and the fills of the symbol's trades among them."""
    trades = _fills(settings, backtest, symbol)
    extent = _extent(settings, backtest, symbol)
    first = max(filter(None, (window.start, extent[0])))
    last = min(filter(None, (window.end, extent[1])))
    bars = store.read(symbol, backtest.timeframe, first, last + timedelta(microseconds=1))
    seconds = bars.timestamp // 1_000_000
    size = sampling.bucket_seconds(TIMEFRAMES[backtest.timeframe], float(seconds[-1] - seconds[0]))
    made = sampling.candles(
        {name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")}, seconds, size
    )
    answer: dict[str, Any] = {
        "t": to_chart(made.pop("time").tolist(), window.zone),
        **{name[0]: sampling.short(column, 9) for name, column in made.items()},
        "complete": size == TIMEFRAMES[backtest.timeframe],
        "range": _range(np.array([_micros(one) for one in extent]), window.zone),
        **_markers(trades, int(bars.timestamp[0]), int(bars.timestamp[-1]), size, window.zone),
    }
    return _compact(answer)


def _markers(fills: list[Fill], low: int, high: int, size: int, zone: str) -> dict[str, Any]:
    """Fills inside the view, on the candle they belong to; too many to tell apart are only counted."""
    inside = [fill for fill in fills if low <= fill[0] <= high + size * 1_000_000]
    if len(inside) > MOST_MARKERS:
        return {"marks": [], "hidden": len(inside)}
    marks = []
    for micros, kind, side, price in inside:
        (second,) = to_chart([micros // 1_000_000 // size * size], zone)
        marks.append([second, kind, side, float(f"{price:.9g}")])
    return {"marks": marks, "hidden": 0}


def _fills(settings: Settings, backtest: Backtest, symbol: str) -> list[Fill]:
    """Every fill of the symbol, in order of time."""
    names = ["timestamp", "type", "entry_price", "exit_price", "exit_timestamp"]
    table = result_store.read_table(settings, backtest, "symbol_signals", columns=names, symbol=symbol)
    entered, left = curves.micros_of(table["timestamp"]).tolist(), table["exit_timestamp"].cast("int64").to_pylist()
    sides, entry, exit_ = (table[name].to_pylist() for name in ("type", "entry_price", "exit_price"))
    fills = []
    for index, side in enumerate(sides):
        fills.append((entered[index], "entry", side, entry[index]))
        if left[index] is not None and exit_[index] is not None:
            fills.append((left[index], "exit", "sell" if side == "buy" else "buy", exit_[index]))
    return sorted(fills)


def _extent(settings: Settings, backtest: Backtest, symbol: str) -> tuple[datetime, datetime]:
    """First and last bar of the symbol in this backtest."""
    known = (backtest.metadata_.get("data") or {}).get(symbol)
    if known:
        return datetime.fromisoformat(known["first"]), datetime.fromisoformat(known["last"])
    table = result_store.read_table(settings, backtest, "performance_curve", columns=["timestamp"], symbol=symbol)
    stamps = curves.micros_of(table["timestamp"])
    first, last = (curves.EPOCH + timedelta(microseconds=int(stamps[end])) for end in (0, -1))
    return first, last


def _visible(times: NDArray[np.int64], window: Window) -> slice:
    low = 0 if window.start is None else int(np.searchsorted(times, _micros(window.start)))
    high = len(times) if window.end is None else int(np.searchsorted(times, _micros(window.end), side="right"))
    return slice(low, max(low, high))


def _range(times: NDArray[np.int64], zone: str) -> list[int]:
    return to_chart([int(times[0]) // 1_000_000, int(times[-1]) // 1_000_000], zone) if len(times) else []


def _micros(instant: datetime) -> int:
    return (instant - curves.EPOCH) // timedelta(microseconds=1)


def _compact(answer: dict[str, Any]) -> str:
    return json.dumps(answer, separators=(",", ":"), allow_nan=False)
