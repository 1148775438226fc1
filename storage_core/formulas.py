"""How columns of a result follow from others: one set of pure functions for the writer and for every reader.

Each takes the columns it needs as arrays (nulls of floats are NaN, `type` is +1 for buy and -1 for sell, `symbol` is a
number that changes where the symbol does) and constants of the backtest, and gives the column. The order of the
operations is the one of the engine: another order would give another last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMULA_VERSION = "1"
ROWS_AT_ONCE = 65_536

Column = NDArray[Any]
Arrays = Mapping[str, Column]
Constants = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Formula:
    """One column: in words for people, what it needs, and the function.

    `row_by_row`: each row follows from its own values, so that a large column can be computed in pieces.
    """

    text: str
    needs: tuple[str, ...]
    constants: tuple[str, ...]
    compute: Callable[[Arrays, Constants], Column]
    row_by_row: bool = True

    def pieces(self, columns: Arrays, constants: Constants) -> Iterator[tuple[slice, Column]]:
        """The column from the first row to the last, in pieces that need little memory beside it."""
        own = {name: columns[name] for name in self.needs}
        rows = len(own[self.needs[0]])
        step = ROWS_AT_ONCE if self.row_by_row else max(rows, 1)
        for start in range(0, max(rows, 1), step):
            piece = slice(start, min(start + step, rows))
            yield piece, self.compute({name: column[piece] for name, column in own.items()}, constants)


def _row_of_symbol(columns: Arrays, _: Constants) -> Column:
    numbers = np.arange(len(columns["symbol"]), dtype=np.int32)
    for run in _runs(columns["symbol"]):
        numbers[run] -= run.start
    return numbers


def _all_in_quantity(columns: Arrays, constants: Constants) -> Column:
    """Trade after trade, as the cash of each comes from the one before; in plain floats, which is fastest for that."""
    rate, names = constants["fee_rate"], ("type", "entry_price", "exit_price")
    quantities = np.empty(len(columns["symbol"]), dtype=np.float64)
    for run in _runs(columns["symbol"]):
        cash = constants["initial_cash"]
        for start in range(run.start, run.stop, ROWS_AT_ONCE):  # plain floats take five times the memory of an array
            block, made = slice(start, min(start + ROWS_AT_ONCE, run.stop)), []
            for side, entry, out in zip(*(columns[name][block].tolist() for name in names), strict=True):
                unit_cost = entry * (1.0 + rate)
                quantity = cash / unit_cost if unit_cost else math.nan
                made.append(quantity)
                cash -= side * quantity * entry + rate * quantity * entry
                cash += side * quantity * out - rate * quantity * out
            quantities[block] = made
    return quantities


def _fee_amount(columns: Arrays, constants: Constants) -> Column:
    rate_times_quantity = constants["fee_rate"] * columns["quantity"]
    entry_fee = rate_times_quantity * columns["entry_price"]
    both = entry_fee + rate_times_quantity * columns["exit_price"]
    fee: Column = np.where(np.isnan(columns["exit_price"]), entry_fee, both)
    return fee


def _slippage_amount(columns: Arrays, constants: Constants) -> Column:
    """The price before slippage is the decimal number that, slipped, gives the fill."""
    side, quantity = columns["type"], columns["quantity"]
    at_entry = quantity * np.abs(columns["entry_price"] - _unslipped(columns["entry_price"], side, constants))
    at_exit = quantity * np.abs(columns["exit_price"] - _unslipped(columns["exit_price"], -side, constants))
    slippage: Column = np.where(np.isnan(columns["exit_price"]), at_entry, at_entry + at_exit)
    return slippage


def _unslipped(fill: Column, side: Column, constants: Constants) -> Column:
    price = fill / (1.0 + side * constants["slippage_rate"])
    units = 10.0 ** constants["decimals"]
    nearest: Column = np.rint(price * units) / units
    return nearest


def _pnl(columns: Arrays, _: Constants) -> Column:
    gain = columns["type"] * (columns["exit_price"] - columns["entry_price"])
    pnl: Column = gain * columns["quantity"] - columns["fee_amount"]
    return pnl


def _return_pct(columns: Arrays, _: Constants) -> Column:
    percent: Column = columns["pnl"] / (columns["quantity"] * columns["entry_price"]) * 100.0
    return percent


def _exit_timestamp(columns: Arrays, constants: Constants) -> Column:
    held = columns["hold_bars"].astype(np.int64) * int(constants["bar_microseconds"])
    closed_at: Column = columns["timestamp"] + held
    return closed_at


def _drawdown(columns: Arrays, constants: Constants) -> Column:
    peaks = np.maximum(columns["equity"], constants["initial_cash"])
    for run in _runs(columns["symbol"]):
        peaks[run] = np.maximum.accumulate(peaks[run])
    percent: Column = np.divide(columns["equity"], peaks, out=peaks)  # in place: large curves need little beside them
    np.subtract(1.0, percent, out=percent)
    percent *= 100.0
    return percent


def _cumulative_pnl(columns: Arrays, constants: Constants) -> Column:
    return columns["equity"] - constants["initial_cash"]


def _cumulative_pnl_pct(columns: Arrays, constants: Constants) -> Column:
    return (columns["equity"] - constants["initial_cash"]) / constants["initial_cash"] * 100.0


def _runs(symbol: Column) -> Iterator[slice]:
    """The stretches of rows of one symbol."""
    edges = np.flatnonzero(np.diff(symbol)) + 1
    bounds = [0, *edges.tolist(), len(symbol)]
    for start, stop in pairwise(bounds):
        yield slice(start, stop)


_ROW = Formula("number of the row among those of its symbol, from 0", ("symbol",), (), _row_of_symbol, row_by_row=False)

FORMULAS: dict[str, dict[str, Formula]] = {
    "symbol_summary": {},
    "symbol_signals": {
        "signal_index": _ROW,
        "quantity": Formula(
            "cash / (entry_price * (1 + fee_rate)), cash being initial_cash and what the trades before made of it",
            ("symbol", "type", "entry_price", "exit_price"),
            ("initial_cash", "fee_rate", "all_in"),
            _all_in_quantity,
            row_by_row=False,
        ),
        "fee_amount": Formula(
            "fee_rate * quantity * entry_price + fee_rate * quantity * exit_price (while open: the first)",
            ("quantity", "entry_price", "exit_price"),
            ("fee_rate",),
            _fee_amount,
        ),
        "slippage_amount": Formula(
            "quantity * |entry_price - p| + quantity * |exit_price - q|, p and q the prices before slippage: "
            "fill / (1 +- slippage_rate), rounded to decimals",
            ("type", "quantity", "entry_price", "exit_price"),
            ("slippage_rate", "decimals"),
            _slippage_amount,
        ),
        "pnl": Formula(
            "side * (exit_price - entry_price) * quantity - fee_amount, side +1 for buy and -1 for sell",
            ("type", "quantity", "entry_price", "exit_price", "fee_amount"),
            (),
            _pnl,
        ),
        "return_pct": Formula(
            "pnl / (quantity * entry_price) * 100", ("quantity", "entry_price", "pnl"), (), _return_pct
        ),
        "exit_timestamp": Formula(
            "timestamp + hold_bars * bar_microseconds",
            ("timestamp", "hold_bars"),
            ("bar_microseconds",),
            _exit_timestamp,
        ),
    },
    "performance_curve": {
        "idx": _ROW,
        "drawdown": Formula(
            "(1 - equity / max(initial_cash, equity so far)) * 100, each symbol by itself",
            ("symbol", "equity"),
            ("initial_cash",),
            _drawdown,
            row_by_row=False,
        ),
        "cumulative_pnl": Formula("equity - initial_cash", ("equity",), ("initial_cash",), _cumulative_pnl),
        "cumulative_pnl_pct": Formula(
            "(equity - initial_cash) / initial_cash * 100", ("equity",), ("initial_cash",), _cumulative_pnl_pct
        ),
    },
}
"""By table and column, a column after those it needs."""
