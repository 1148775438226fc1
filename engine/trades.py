"""Trades: round trips as a structure of arrays."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Trades:
    """One row a trade, in order of entry; arrays of equal length m.

    entry_bar, exit_bar: bar numbers (exit_bar -1 while open). side: +1 long, -1 short. entry_price, exit_price: fill
    prices, slippage included (exit_price nan while open). quantity > 0. fee, slippage: money, sums over the trade's
    fills. pnl: money after fees; an open trade is valued at the last close without an exit fee. return_: pnl /
    (quantity x entry price). mae, mfe: worst and best price while held relative to the entry price, as signed
    fractions (mae <= 0 <= mfe), long and short alike. hold_bars: exit bar (or last bar) - entry bar. exit_reason:
    index into EXIT_REASONS.
    """

    entry_bar: NDArray[np.int64]
    exit_bar: NDArray[np.int64]
    side: NDArray[np.int8]
    entry_price: NDArray[np.float64]
    exit_price: NDArray[np.float64]
    quantity: NDArray[np.float64]
    fee: NDArray[np.float64]
    slippage: NDArray[np.float64]
    pnl: NDArray[np.float64]
    return_: NDArray[np.float64]
    mae: NDArray[np.float64]
    mfe: NDArray[np.float64]
    hold_bars: NDArray[np.int64]
    exit_reason: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.entry_bar)

    @property
    def closed(self) -> NDArray[np.bool_]:
        """bool[m]: the trade has ended."""
        return self.exit_bar >= 0


def trades_of(log: NDArray[np.void]) -> Trades:
    """The rows of a kernel's trade log as arrays of their own."""
    columns = {field.name: np.ascontiguousarray(log[field.name]) for field in fields(Trades)}
    columns["side"] = columns["side"].astype(np.int8)
    columns["exit_reason"] = columns["exit_reason"].astype(np.uint8)
    return Trades(**columns)
