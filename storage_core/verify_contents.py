"""What must hold inside the tables of a result, whatever their bytes are.

Results that came from the legacy system keep its arithmetic and its doubts, so only what holds for every table is asked
of them: rows, symbols, order of times, and that what is left out comes out again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from storage_core import derive
from storage_core.bar_store import TIMEFRAMES
from storage_core.formulas import FORMULAS
from storage_core.models import Backtest
from storage_core.modes import LINES

Counts = dict[str, int]
"""Of each symbol: trades in `symbol_signals`, trades that `symbol_summary` counts, bars in `performance_curve`."""

IDENTITIES = {
    "symbol_signals": ("signal_index", "fee_amount", "pnl", "return_pct"),
    "performance_curve": ("idx", "drawdown", "cumulative_pnl", "cumulative_pnl_pct"),
}
"""Formulas that hold for every backtest. The others need more: bars without gaps, all cash in each trade."""
CLOSE = 1e-9


def problems(
    name: str, table: pa.Table, row: Backtest, *, notes: derive.Notes, facts: Mapping[str, Any]
) -> Iterator[str]:
    """What is wrong with the table `name` of the result of `row`; `notes` of its file, `facts` of the row."""
    if table["symbol"].null_count:
        yield "it has rows without a symbol"
        return
    runs = list(_runs(table["symbol"]))
    symbols = [symbol for symbol, _ in runs]
    if len(set(symbols)) < len(symbols):
        twice = next(symbol for index, symbol in enumerate(symbols) if symbol in symbols[:index])
        yield f"the rows of {twice} do not lie together"
    legacy = row.source == "legacy"
    if "timestamp" in table.column_names:
        yield from _time_problems(table, runs, strictly=name in ("performance_curve", LINES) and not legacy)
    constants = derive.constants_of(row.spec, TIMEFRAMES.get(row.timeframe, 0))
    yield from _note_problems(notes, facts, constants)
    if not legacy:
        yield from _formula_problems(name, table, constants)


def counts_of(name: str, table: pa.Table) -> Counts:
    """The rows of each symbol; for `symbol_summary`, the trades that it counts."""
    if name == "symbol_summary":
        pairs = zip(table["symbol"].to_pylist(), table["total_signals"].to_pylist(), strict=True)
        return {symbol: count for symbol, count in pairs if count is not None}
    grouped = table["symbol"].value_counts()
    return {one["values"].as_py(): one["counts"].as_py() for one in grouped}


def disagreements(row: Backtest, counts: Mapping[str, Counts]) -> Iterator[tuple[str, str]]:
    """(table, problem) where two tables, or a table and the row, count differently."""
    signals = counts.get("symbol_signals")
    if signals is not None and row.record_count != sum(signals.values()):
        yield "symbol_signals", f"it has {sum(signals.values()):,} trades, the row says {row.record_count}"
    lines, curve = counts.get(LINES), counts.get("performance_curve")
    if lines is not None and curve is not None and lines != curve:
        yield LINES, f"it has {sum(lines.values()):,} bars, performance_curve has {sum(curve.values()):,}"
    summary = counts.get("symbol_summary")
    if summary is None or row.source == "legacy":
        return
    for symbol, counted in sorted(summary.items()):
        if signals is not None and counted != signals.get(symbol, 0):
            found = signals.get(symbol, 0)
            yield "symbol_summary", f"it counts {counted:,} trades of {symbol}, symbol_signals has {found:,}"
    for name in ("symbol_signals", "performance_curve"):
        for symbol in sorted(counts.get(name, {}).keys() - summary.keys()):
            yield name, f"it has rows of {symbol}, which symbol_summary does not name"


def _time_problems(table: pa.Table, runs: list[tuple[str, slice]], *, strictly: bool) -> Iterator[str]:
    if table["timestamp"].null_count:
        yield "it has rows without a time"
        return
    times = table["timestamp"].cast(pa.int64()).to_numpy()
    for symbol, run in runs:
        steps = np.diff(times[run])
        wrong = np.flatnonzero(steps <= 0 if strictly else steps < 0)
        if len(wrong):
            at = run.start + int(wrong[0])
            how = "comes after its next" if steps[wrong[0]] < 0 else "has the time of its next"
            yield f"its times are out of order: row {at} of {symbol} {how}"
    if "exit_timestamp" in table.column_names:
        early = pc.sum(pc.less(table["exit_timestamp"], table["timestamp"])).as_py()
        if early:
            yield f"{early:,} trades end before they begin"


def _note_problems(notes: derive.Notes, facts: Mapping[str, Any], constants: Mapping[str, float]) -> Iterator[str]:
    if set(notes) != set(facts.get("left_out") or {}):
        yield f"it leaves out {sorted(notes)}, the row notes {sorted(facts.get('left_out') or {})}"
    for column, note in notes.items():
        for name, used in note["constants"].items():
            if name in constants and used != constants[name]:
                yield f"its formula for {column} uses {name} {used:g}, the backtest had {constants[name]:g}"


def _formula_problems(name: str, table: pa.Table, constants: Mapping[str, float]) -> Iterator[str]:
    arrays = derive.as_arrays(table)
    for column in IDENTITIES.get(name, ()):
        formula = FORMULAS[name][column]
        if column not in arrays or any(need not in arrays for need in formula.needs):
            continue
        if any(need not in constants for need in formula.constants):
            continue
        expected = derive.compute(formula, arrays, constants)
        wrong = _different(arrays[column], expected)
        if len(wrong):
            at = int(wrong[0])
            yield (
                f"the formula for {column} does not come out in {len(wrong):,} rows: row {at} has "
                f"{arrays[column][at]:.12g}, {formula.text} is {expected[at]:.12g}"
            )


def _different(stored: NDArray[Any], expected: NDArray[Any]) -> NDArray[np.int64]:
    """Rows that differ by more than rounding. Where the formula gives no number (an open trade), nothing is said."""
    sizes = np.abs(stored[np.isfinite(stored)])
    nearly = CLOSE * float(sizes.max(initial=0.0))
    with np.errstate(invalid="ignore", over="ignore"):
        same = np.isclose(stored, expected, rtol=CLOSE, atol=nearly, equal_nan=True)
    return np.flatnonzero(~same & np.isfinite(expected))


def _runs(symbols: pa.ChunkedArray) -> Iterator[tuple[str, slice]]:
    """The stretches of rows of one symbol."""
    encoded = symbols.combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    for start, stop in pairwise(edges):
        if stop > start:
            yield encoded.dictionary[int(codes[start])].as_py(), slice(start, stop)
