"""Candles of one symbol of a result: with volume, fills, the lines that its strategy looks at, equity and drawdown."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from engine.catalog import Catalog
from engine.indicators import REMEMBERING, line_values
from engine.lines import Line
from engine.spec import TIMEFRAMES
from storage_core import result_store
from storage_core.bar_store import BarStore
from storage_core.errors import NoBars
from storage_core.models import Backtest
from storage_core.settings import Settings
from storage_core.strategy_lines import drawn
from webapp import curves, sampling
from webapp.chart_cache import kept
from webapp.charts import Window, bars_of, compact_json, digest, extent_of, micros, version, visible
from webapp.localtime import to_chart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from webapp.chart_cache import Columns, Times

    Numbers = NDArray[np.int64]

MOST_MARKERS: Final = 240
PRICES: Final = ("open", "high", "low", "close", "volume")


class CandleSource:
    """One symbol of a result and its bars, ready to be drawn."""

    def __init__(self, settings: Settings, store: BarStore, backtest: Backtest, symbol: str) -> None:
        self.settings, self.store, self.backtest, self.symbol = settings, store, backtest, symbol
        self.extent = extent(settings, backtest, symbol)
        everything = bars_of(settings, store, symbol, backtest.timeframe)
        self.bars = everything.between(micros(self.extent[0]), micros(self.extent[1]) + 1)


def candles_json(source: CandleSource, window: Window, catalog: Catalog) -> str:
    """The answer for a window. Raises NoBars when it shows none."""
    bars, backtest = source.bars, source.backtest
    seen = visible(bars.timestamp, window)
    if seen.start == seen.stop:
        available = f"{source.extent[0]:%Y-%m-%d} to {source.extent[1]:%Y-%m-%d}"
        raise NoBars(source.symbol, backtest.timeframe, available)
    seconds = bars.timestamp[seen] // 1_000_000
    size = sampling.bucket_seconds(TIMEFRAMES[backtest.timeframe], float(seconds[-1] - seconds[0]))
    made = sampling.candles({name: getattr(bars, name)[seen] for name in PRICES}, seconds, size)
    starts, ends = made.pop("start") + seen.start, made.pop("end") + seen.start
    answer: dict[str, Any] = {
        "t": to_chart(made.pop("time").tolist(), window.zone),
        **{name[0]: sampling.short(column, 9) for name, column in made.items()},
        "complete": size == TIMEFRAMES[backtest.timeframe],
        "range": extent_of(np.array([micros(one) for one in source.extent]), window.zone),
        "lines": _lines(source, ends, catalog),
        **_account(source, starts, ends),
        **_markers(source, int(bars.timestamp[seen][0]), int(bars.timestamp[seen][-1]), size, window.zone),
    }
    return compact_json(answer)


def _lines(source: CandleSource, at: Numbers, catalog: Catalog) -> list[dict[str, Any]]:
    """The strategy's lines at the last bar of each candle."""
    if named := drawn(source.backtest.metadata_):
        return _own_lines(source, named, at)
    strategy = catalog.get(source.backtest.strategy)
    params = source.backtest.params
    if strategy is None or any(param.name not in params for param in strategy.params):
        return []
    return [
        {"label": line.label, "pane": line.pane, "faint": line.faint, "v": _with_gaps(_line(source, line, at))}
        for line in strategy.lines(params)
    ]


def _own_lines(source: CandleSource, named: list[dict[str, Any]], at: Numbers) -> list[dict[str, Any]]:
    """Lines that a person's own strategy drew when it ran; gaps at bars that were not there then."""

    def load() -> tuple[Times, Columns]:
        table = result_store.read_lines(source.settings, source.backtest, symbol=source.symbol)
        assert table is not None  # noqa: S101  the row names lines
        columns = {name: table[name].fill_null(np.nan).to_numpy() for name in table.column_names[2:]}
        return curves.micros_of(table["timestamp"]), columns

    key = digest([version(source.store, source.backtest), source.symbol, "own lines"])
    times, columns = kept(source.settings.data_dir, key, load)
    stamps = source.bars.timestamp[at]
    rows = np.minimum(np.searchsorted(times, stamps), max(len(times) - 1, 0))
    there = times[rows] == stamps if len(times) else np.zeros(len(stamps), dtype=bool)
    return [
        {**line, "own": True, "v": _with_gaps(np.where(there, column[rows] if len(times) else np.nan, np.nan))}
        for line, column in zip(named, columns.values(), strict=True)
    ]


def _line(source: CandleSource, line: Line, at: Numbers) -> NDArray[np.float64]:
    """The line at the bars `at`; one that remembers all bars before is computed for all of them, once."""
    columns = {name: getattr(source.bars, name) for name in PRICES}
    if line.formula not in REMEMBERING:
        return line_values(line, columns, at)

    def load() -> tuple[Times, Columns]:
        times = source.bars.timestamp
        return times, {"line": line_values(line, columns, np.arange(len(times)))}

    named = [version(source.store, source.backtest), source.symbol, line.formula, str(line.arguments)]
    _times, kept_columns = kept(source.settings.data_dir, digest(named), load)
    return kept_columns["line"][at]


def _account(source: CandleSource, starts: Numbers, ends: Numbers) -> dict[str, list[float | None]]:
    """Equity at the end of each candle, and the deepest drawdown within it."""
    times, columns = _symbol_columns(source)
    if not len(times):
        return {"equity": [], "drawdown": []}
    stamps = source.bars.timestamp
    first = np.searchsorted(times, stamps[starts])
    last = np.searchsorted(times, stamps[ends], side="right") - 1
    known = last >= 0
    equity = np.where(known, columns["equity"][np.maximum(last, 0)], np.nan)
    edges = np.clip(first, 0, len(times) - 1)
    deepest = np.minimum.reduceat(columns["drawdown"], edges) if len(edges) else np.empty(0)
    if len(edges):  # the last stretch ends with the window, not with the result
        deepest[-1] = columns["drawdown"][edges[-1] : max(int(last[-1]), int(edges[-1])) + 1].min()
    return {"equity": _with_gaps(equity), "drawdown": _with_gaps(np.where(known, deepest, np.nan))}


def _symbol_columns(source: CandleSource) -> tuple[Times, Columns]:
    settings, backtest, symbol = source.settings, source.backtest, source.symbol

    def load() -> tuple[Times, Columns]:
        curve = curves.symbol_curve(settings, backtest, symbol)
        return curve.timestamp, {
            "equity": curve.value,
            "drawdown": curves.drawdown(curve.value, curves.cash(backtest)) if len(curve) else curve.value,
        }

    return kept(settings.data_dir, digest([version(source.store, backtest), symbol, "account"]), load)


def _with_gaps(values: NDArray[np.float64], digits: int = 7) -> list[float | None]:
    """Short numbers, None where there is none."""
    known = np.isfinite(values)
    short = sampling.short(np.where(known, values, 0.0), digits)
    return [value if there else None for value, there in zip(short, known.tolist(), strict=True)]


def _markers(source: CandleSource, low: int, high: int, size: int, zone: str) -> dict[str, Any]:
    """Fills inside the view, on the candle they belong to; too many to tell apart are only counted."""
    times, fills = _fills(source)
    inside = np.flatnonzero((times >= low) & (times <= high + size * 1_000_000))
    if len(inside) > MOST_MARKERS:
        return {"marks": [], "hidden": len(inside)}
    marks = []
    for row in inside[np.argsort(times[inside], kind="stable")].tolist():
        (second,) = to_chart([int(times[row]) // 1_000_000 // size * size], zone)
        kind = "entry" if fills["entry"][row] else "exit"
        side = "buy" if fills["buy"][row] else "sell"
        marks.append([second, kind, side, float(f"{fills['price'][row]:.9g}")])
    return {"marks": marks, "hidden": 0}


def _fills(source: CandleSource) -> tuple[Times, Columns]:
    """Every fill of the symbol: entries, then exits; with its price, and whether it is an entry and whether it buys."""

    def load() -> tuple[Times, Columns]:
        names = ["timestamp", "type", "entry_price", "exit_price", "exit_timestamp"]
        table = result_store.read_table(
            source.settings, source.backtest, "symbol_signals", columns=names, symbol=source.symbol
        )
        left = table["exit_timestamp"].cast("int64").fill_null(-1).to_numpy()
        entry, exit_ = (table[name].cast("float64").to_numpy() for name in ("entry_price", "exit_price"))
        buys = np.array([side == "buy" for side in table["type"].to_pylist()], dtype=bool)
        ended = (left >= 0) & np.isfinite(exit_)
        return np.concatenate([curves.micros_of(table["timestamp"]), left[ended]]), {
            "price": np.concatenate([entry, exit_[ended]]),
            "entry": np.repeat([1.0, 0.0], [len(entry), int(ended.sum())]),
            "buy": np.concatenate([buys, ~buys[ended]]).astype(np.float64),
        }

    named = [version(source.store, source.backtest), source.symbol, "fills"]
    return kept(source.settings.data_dir, digest(named), load)


def extent(settings: Settings, backtest: Backtest, symbol: str) -> tuple[datetime, datetime]:
    """First and last bar of the symbol in this backtest."""
    known = (backtest.metadata_.get("data") or {}).get(symbol)
    if known:
        return datetime.fromisoformat(known["first"]), datetime.fromisoformat(known["last"])
    table = result_store.read_table(settings, backtest, "performance_curve", columns=["timestamp"], symbol=symbol)
    stamps = curves.micros_of(table["timestamp"])
    first, last = (curves.EPOCH + timedelta(microseconds=int(stamps[end])) for end in (0, -1))
    return first, last


def trade_beside(
    settings: Settings, backtest: Backtest, symbol: str, *, after: datetime | None, before: datetime | None
) -> tuple[int, int] | None:
    """Entry and exit (microseconds) of the first trade that begins after, or the last that begins before, an instant.

    A trade that is still open ends where it began.
    """
    names = ["timestamp", "exit_timestamp"]
    table = result_store.read_table(settings, backtest, "symbol_signals", columns=names, symbol=symbol)
    entered = curves.micros_of(table["timestamp"])
    left = table["exit_timestamp"].cast("int64").fill_null(-1).to_numpy()
    order = np.argsort(entered, kind="stable")
    if after is not None:
        place = int(np.searchsorted(entered[order], micros(after), side="right"))
    else:
        place = int(np.searchsorted(entered[order], micros(before or curves.EPOCH))) - 1
    if not 0 <= place < len(order):
        return None
    row = order[place]
    return int(entered[row]), max(int(left[row]), int(entered[row]))
