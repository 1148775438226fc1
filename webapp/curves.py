"""Curves of a result as arrays: equity over all symbols, buy and hold beside it, and the months."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from storage_core import result_store
from storage_core.backtest_keeping import active_symbols
from storage_core.bar_table import BarTable
from storage_core.errors import StorageError
from storage_core.models import Backtest
from storage_core.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Times = NDArray[np.int64]
    Values = NDArray[np.float64]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Curve:
    """Values at times: `timestamp` int64 microseconds UTC, strictly increasing."""

    timestamp: Times
    value: Values

    def __len__(self) -> int:
        return len(self.timestamp)


def equity_curve(settings: Settings, backtest: Backtest) -> Curve:
    """The stored equity, summed over the symbols that count; one that has no bars yet counts with its cash."""
    return total(_stored(settings, backtest, active_symbols(backtest)), cash(backtest))


def start_cash(backtest: Backtest) -> float:
    """The cash of the symbols that count, together."""
    return cash(backtest) * len(active_symbols(backtest))


def buy_and_hold(bars: Callable[[str], BarTable], backtest: Backtest, times: Times) -> Values | None:
    """The same cash put into each symbol at its first close, marked at `times`; None when bars are gone since."""
    curves = []
    for symbol in active_symbols(backtest):
        try:
            known = bars(symbol).between(int(times[0]), int(times[-1]) + 1)
        except StorageError:
            return None
        if not len(known):
            return None
        curves.append(Curve(known.timestamp, cash(backtest) * known.close / known.close[0]))
    held = total(curves, cash(backtest))
    return _at(held, times, cash(backtest) * len(curves))


def total(curves: Sequence[Curve], before: float) -> Curve:
    """The sum over the union of all times, last values carried forward; `before` stands until a curve's first."""
    if len(curves) == 1:
        return curves[0]
    if not curves:
        return Curve(np.empty(0, np.int64), np.empty(0))
    times = np.unique(np.concatenate([curve.timestamp for curve in curves]))
    summed = np.zeros(len(times))
    for curve in curves:
        summed += _at(curve, times, before)
    return Curve(times, summed)


def drawdown(equity: Values, start: float) -> Values:
    """Percent below the running peak, the peak starting at the cash."""
    peak = np.maximum(np.maximum.accumulate(equity), start)
    return (equity / peak - 1) * 100


def cash(backtest: Backtest) -> float:
    """Initial cash of each symbol; 1 for legacy results, whose curves are factors of a cash that nobody noted."""
    return float(backtest.spec.get("initial_cash") or 1.0)


def monthly_returns(equity: Curve, start: float, zone: str) -> list[tuple[int, int, float]]:
    """(year, month, percent) of each calendar month in `zone` that the curve touches."""
    if not len(equity):
        return []
    first, last = (_instant(equity.timestamp[end]).astimezone(ZoneInfo(zone)) for end in (0, -1))
    months = [divmod(index, 12) for index in range(first.year * 12 + first.month - 1, last.year * 12 + last.month + 1)]
    starts = [datetime(year, month + 1, 1, tzinfo=ZoneInfo(zone)) for year, month in months]
    edges = np.searchsorted(equity.timestamp, [_micros(instant) for instant in starts])
    returns = []
    for (year, month), (low, high) in zip(months, pairwise(edges), strict=False):
        before = equity.value[low - 1] if low else start
        if high > low and before > 0:
            returns.append((year, month + 1, float((equity.value[high - 1] / before - 1) * 100)))
    return returns


def symbol_curve(settings: Settings, backtest: Backtest, symbol: str) -> Curve:
    """The stored equity of one symbol."""
    if len(backtest.symbols) == 1:
        return total(_stored(settings, backtest, backtest.symbols), cash(backtest))
    names = ["timestamp", "equity"]
    table = result_store.read_table(settings, backtest, "performance_curve", columns=names, symbol=symbol)
    whole = Curve(micros_of(table["timestamp"]), table["equity"].to_numpy())
    return _increasing(whole) if len(whole) else whole


def _stored(settings: Settings, backtest: Backtest, symbols: Sequence[str]) -> list[Curve]:
    """One curve for each of `symbols`; the file is sorted by symbol and time."""
    single = len(backtest.symbols) == 1
    columns = ["timestamp", "equity"] if single else ["symbol", "timestamp", "equity"]
    table = result_store.read_table(settings, backtest, "performance_curve", columns=columns)
    whole = Curve(micros_of(table["timestamp"]), table["equity"].to_numpy())
    if single or not len(whole):
        return [_increasing(whole)] if len(whole) else []
    encoded = table["symbol"].combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(whole)]
    return [
        _increasing(Curve(whole.timestamp[low:high], whole.value[low:high]))
        for low, high in pairwise(edges)
        if encoded.dictionary[int(codes[low])].as_py() in symbols
    ]


def _increasing(curve: Curve) -> Curve:
    """Legacy curves hold several points of one day, and gaps: the last known value of each time stands for it."""
    known = np.isfinite(curve.value)
    last = np.append(np.diff(curve.timestamp[known]) > 0, True)[: int(known.sum())]
    if known.all() and last.all():
        return curve
    return Curve(curve.timestamp[known][last], curve.value[known][last])


def micros_of(column: object) -> Times:
    """A timestamp column of Arrow as int64 microseconds."""
    found: Times = column.cast("int64").to_numpy()  # type: ignore[attr-defined]
    return found


def _at(curve: Curve, times: Times, before: float) -> Values:
    """The curve's last value at or before each time."""
    if np.array_equal(curve.timestamp, times):  # one symbol: nothing to look up
        return curve.value
    position = np.searchsorted(curve.timestamp, times, side="right") - 1
    return np.where(position >= 0, curve.value[np.maximum(position, 0)], before)


def _instant(micros: np.int64) -> datetime:
    return EPOCH + timedelta(microseconds=int(micros))


def _micros(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)
