"""Chart data of a result: cut to what is visible, sampled, short. Here the equity; the candles are in candle_charts."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from storage_core.backtest_keeping import active_symbols
from storage_core.bar_store import BarStore
from storage_core.bar_table import BarTable
from storage_core.models import Backtest
from storage_core.settings import Settings
from webapp import curves, sampling
from webapp.chart_cache import kept
from webapp.localtime import to_chart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from webapp.chart_cache import Columns, Times

FORMAT: Final = "3"  # part of every ETag: raise it when the shape of the answers changes


@dataclass(frozen=True)
class Window:
    """What is visible: instants, None for no limit; `zone` for the axis."""

    start: datetime | None
    end: datetime | None
    zone: str


def version(store: BarStore, backtest: Backtest) -> str:
    """What the charts are drawn from: the digests of the result's files, the bars, and which symbols count."""
    files = backtest.metadata_.get("files", {})
    parts = [FORMAT, str(backtest.task_id), *sorted(f"{name}={entry.get('sha256')}" for name, entry in files.items())]
    parts += ["symbols", *active_symbols(backtest)]
    parts += [f"{symbol}={store.state(symbol, backtest.timeframe)}" for symbol in backtest.symbols]
    return digest(parts)


def etag(current: str, *more: object) -> str:
    """A strong validator of one answer."""
    return digest([current, *(str(part) for part in more)])


def digest(parts: list[str]) -> str:
    """A short name for everything in `parts`."""
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:24]


def equity_json(settings: Settings, store: BarStore, backtest: Backtest, window: Window) -> str:
    """Equity, buy and hold and drawdown at shared times."""
    timestamp, whole = equity_columns(settings, store, backtest)
    seen = visible(timestamp, window)
    times, columns = timestamp[seen], {name: column[seen] for name, column in whole.items()}
    keep = sampling.shared_indices(list(columns.values())) if len(times) else np.empty(0, np.int64)
    answer: dict[str, Any] = {
        "t": to_chart((times[keep] // 1_000_000).tolist(), window.zone),
        **{name: sampling.short(column[keep]) for name, column in columns.items()},
        "range": extent_of(timestamp, window.zone),
        "bars": len(times),
    }
    return compact_json(answer)


def equity_columns(settings: Settings, store: BarStore, backtest: Backtest) -> tuple[Times, Columns]:
    """Times (int64 microseconds), and equity, drawdown (percent, 0 or less) and, with bars, hold at each of them."""

    def load() -> tuple[Times, Columns]:
        equity = curves.equity_curve(settings, backtest)
        columns = {"equity": equity.value, "drawdown": curves.drawdown(equity.value, curves.start_cash(backtest))}
        held = None
        if len(equity):
            held = curves.buy_and_hold(lambda symbol: bars_of(settings, store, symbol, backtest.timeframe),
                                       backtest, equity.timestamp)  # fmt: skip
        return equity.timestamp, columns if held is None else {**columns, "hold": held}

    return kept(settings.data_dir, version(store, backtest), load)


def bars_of(settings: Settings, store: BarStore, symbol: str, timeframe: str) -> BarTable:
    """All stored bars of a symbol; raises NoBars and BarsDamaged."""

    def load() -> tuple[Times, Columns]:
        bars = store.read(symbol, timeframe)
        return bars.timestamp, {name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")}

    parts = ["bars", FORMAT, symbol, timeframe, str(store.state(symbol, timeframe))]
    times, columns = kept(settings.data_dir, digest(parts), load)
    return BarTable(times, **columns)


def visible(times: NDArray[np.int64], window: Window) -> slice:
    """The part of `times` that a window shows."""
    low = 0 if window.start is None else int(np.searchsorted(times, micros(window.start)))
    high = len(times) if window.end is None else int(np.searchsorted(times, micros(window.end), side="right"))
    return slice(low, max(low, high))


def extent_of(times: NDArray[np.int64], zone: str) -> list[int]:
    """First and last of `times` in chart seconds."""
    return to_chart([int(times[0]) // 1_000_000, int(times[-1]) // 1_000_000], zone) if len(times) else []


def micros(instant: datetime) -> int:
    """An instant in microseconds since 1970."""
    return (instant - curves.EPOCH) // timedelta(microseconds=1)


def compact_json(answer: dict[str, Any]) -> str:
    """JSON without a space too many; NaN is an error."""
    return json.dumps(answer, separators=(",", ":"), allow_nan=False)
