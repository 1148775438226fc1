"""Several results beside each other: curves from a common 100, and the first trade in which two differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from storage_core import result_store
from storage_core.models import Backtest
from storage_core.settings import Settings
from webapp import charts, curves, sampling
from webapp.localtime import to_chart

if TYPE_CHECKING:
    from numpy.typing import NDArray

START: Final = 100.0
MOST_POINTS: Final = 2_000
ALL_POINTS: Final = 8_000
"""Of all curves together: ten of them stay as light as four."""
TABLE_ROWS: Final = 13


@dataclass(frozen=True)
class Deal:
    """A trade as far as two backtests can agree on it."""

    number: int
    symbol: str
    side: str
    entry_at: datetime
    entry_price: float | None
    exit_at: datetime | None
    exit_price: float | None


@dataclass(frozen=True)
class Difference:
    """How the trades of one result leave those of another: the first pair that is not the same, None where one ends.

    `equal` trades before that are. `kind`: same, differ, or apart when they have no symbol in common.
    """

    kind: Literal["same", "differ", "apart"]
    equal: int = 0
    ours: Deal | None = None
    theirs: Deal | None = None


def normalised(settings: Settings, backtest: Backtest) -> curves.Curve:
    """The equity as percent of what it started with."""
    curve = curves.equity_curve(settings, backtest)
    return curves.Curve(curve.timestamp, curve.value * (START / curves.start_cash(backtest)))


def curves_json(settings: Settings, backtests: Sequence[Backtest], window: charts.Window) -> str:
    """Equity from 100 and drawdown of each, every one at times of its own, sampled."""
    series, ends = [], []
    points = min(MOST_POINTS, ALL_POINTS // len(backtests))
    for backtest in backtests:
        whole = normalised(settings, backtest)
        if len(whole):
            ends += [int(whole.timestamp[0]), int(whole.timestamp[-1])]
        series.append({"id": str(backtest.task_id), **_sampled(whole, window, points)})
    extent = np.array([min(ends), max(ends)]) if ends else np.empty(0, np.int64)
    return charts.compact_json({"series": series, "range": charts.extent_of(extent, window.zone)})


def _sampled(whole: curves.Curve, window: charts.Window, points: int) -> dict[str, Any]:
    down = curves.drawdown(whole.value, START)
    inside = charts.visible(whole.timestamp, window)
    times, equity, down = whole.timestamp[inside], whole.value[inside], down[inside]
    keep = sampling.shared_indices([equity, down], points) if len(times) else np.empty(0, np.int64)
    return {
        "t": to_chart((times[keep] // 1_000_000).tolist(), window.zone),
        "v": sampling.short(equity[keep]),
        "d": sampling.short(down[keep], 5),
        "bars": len(times),
    }


def value_rows(found: Sequence[curves.Curve]) -> list[tuple[datetime, list[float | None]]]:
    """The curves in numbers at evenly spread times of their union: None before one begins and after it has ended."""
    known = [curve for curve in found if len(curve)]
    if not known:
        return []
    first = min(int(curve.timestamp[0]) for curve in known)
    last = max(int(curve.timestamp[-1]) for curve in known)
    times = np.unique(np.linspace(first, last, TABLE_ROWS).astype(np.int64))
    columns = [_values_at(curve, times) for curve in found]
    rows = zip(times.tolist(), *columns, strict=True)
    return [(curves.EPOCH + timedelta(microseconds=at), list(values)) for at, *values in rows]


def _values_at(curve: curves.Curve, times: NDArray[np.int64]) -> list[float | None]:
    if not len(curve):
        return [None] * len(times)
    position = np.searchsorted(curve.timestamp, times, side="right") - 1
    inside = (position >= 0) & (times <= curve.timestamp[-1])
    return [
        float(curve.value[index]) if there else None for index, there in zip(position.tolist(), inside, strict=True)
    ]


def first_difference(settings: Settings, first: Backtest, other: Backtest) -> Difference:
    """The first trade, in the order of the entries, in which `other` is not like `first`, over their common symbols."""
    common = [symbol for symbol in first.symbols if symbol in other.symbols]
    if not common:
        return Difference("apart")
    theirs, ours = _Deals.read(settings, first, common), _Deals.read(settings, other, common)
    shorter = min(len(theirs), len(ours))
    same = np.ones(shorter, bool)
    for name, column in ours.columns.items():
        one, two = column[:shorter], theirs.columns[name][:shorter]
        same &= (one == two) | (_missing(one) & _missing(two))
    different = np.flatnonzero(~same)
    equal = int(different[0]) if len(different) else shorter
    if equal == len(ours) == len(theirs):
        return Difference("same", equal)
    return Difference("differ", equal, ours.deal(equal), theirs.deal(equal))


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)


NEVER: Final = -1


@dataclass(frozen=True)
class _Deals:
    """Trades as columns, in the order of their entries; `symbol` is a place in `symbols`, no time is NEVER."""

    symbols: Sequence[str]
    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.columns["entry_at"])

    @classmethod
    def read(cls, settings: Settings, backtest: Backtest, symbols: Sequence[str]) -> _Deals:
        names = ["symbol", "timestamp", "type", "entry_price", "exit_timestamp", "exit_price"]
        table = result_store.read_table(settings, backtest, "symbol_signals", columns=names)
        named = np.array(table["symbol"].to_pylist(), dtype=object)
        code = np.full(len(named), len(symbols), np.int64)
        for place, symbol in enumerate(symbols):
            code[named == symbol] = place
        columns = {
            "entry_at": curves.micros_of(table["timestamp"]),
            "symbol": code,
            "buy": np.array(table["type"].to_pylist(), dtype=object) == "buy",
            "entry_price": table["entry_price"].to_numpy().astype(float),
            "exit_at": table["exit_timestamp"].cast("int64").fill_null(NEVER).to_numpy(),
            "exit_price": table["exit_price"].to_numpy().astype(float),
        }
        wanted = np.flatnonzero(code < len(symbols))
        order = wanted[np.lexsort((code[wanted], columns["entry_at"][wanted]))]
        return cls(symbols, {name: column[order] for name, column in columns.items()})

    def deal(self, index: int) -> Deal | None:
        if index >= len(self):
            return None
        row = {name: column[index].item() for name, column in self.columns.items()}
        return Deal(
            number=index + 1,
            symbol=self.symbols[row["symbol"]],
            side="long" if row["buy"] else "short",
            entry_at=curves.EPOCH + timedelta(microseconds=row["entry_at"]),
            entry_price=_known(row["entry_price"]),
            exit_at=None if row["exit_at"] == NEVER else curves.EPOCH + timedelta(microseconds=row["exit_at"]),
            exit_price=_known(row["exit_price"]),
        )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
