"""A run rebuilt from what is stored of it, so that figures of some of its symbols can be computed again. No numba."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.portfolio import drawdown_of
from engine.trades import Trades


@dataclass(frozen=True, slots=True)
class Closes:
    """The part of the bars that figures need: `timestamp` int64[n] microseconds UTC, `close` float64[n]."""

    timestamp: NDArray[np.int64]
    close: NDArray[np.float64]


@dataclass(frozen=True)
class StoredRun:
    """One symbol's run as `engine.metrics.summarise` takes it; arrays of the bars' length n, as in `Simulation`."""

    bars: Closes
    trades: Trades
    equity: NDArray[np.float64]
    position: NDArray[np.float64]
    initial_cash: float

    @cached_property
    def drawdown(self) -> NDArray[np.float64]:
        """float64[n]: 1 - equity / running peak, as a fraction; the peak starts at the initial cash."""
        return drawdown_of(self.equity, self.initial_cash)


def rebuilt(
    bars: Closes, equity: NDArray[np.float64], trades: Mapping[str, NDArray[Any]], *, initial_cash: float
) -> StoredRun:
    """The run of one symbol from its stored curve and trades.

    `trades`: entry_time and exit_time (int64[m] microseconds, exit_time -1 while open), side (+1, -1), and float64[m]
    entry_price, exit_price, quantity, fee, slippage, pnl, return_ (a fraction). Without known prices, `bars.close` may
    be nan: then the figures that need prices are None. Raises ValueError when a trade begins or ends between bars.
    """
    entry = _rows_of(bars.timestamp, trades["entry_time"])
    ended = trades["exit_time"] >= 0
    exit_ = np.where(ended, _rows_of(bars.timestamp, np.where(ended, trades["exit_time"], bars.timestamp[0])), -1)
    last = np.where(ended, exit_, len(equity) - 1)
    unknown = np.full(len(entry), np.nan)
    log = Trades(
        entry_bar=entry,
        exit_bar=exit_,
        side=trades["side"].astype(np.int8),
        entry_price=trades["entry_price"],
        exit_price=trades["exit_price"],
        quantity=trades["quantity"],
        fee=trades["fee"],
        slippage=trades["slippage"],
        pnl=trades["pnl"],
        return_=trades["return_"],
        mae=unknown,
        mfe=unknown,
        hold_bars=last - entry,
        exit_reason=np.zeros(len(entry), dtype=np.uint8),
    )
    return StoredRun(bars, log, equity, _positions(log, len(equity)), initial_cash)


def _rows_of(timestamp: NDArray[np.int64], times: NDArray[np.int64]) -> NDArray[np.int64]:
    rows = np.searchsorted(timestamp, times)
    if np.any(timestamp[np.minimum(rows, len(timestamp) - 1)] != times):
        raise ValueError("a trade begins or ends at a time that is no bar's")
    return rows.astype(np.int64)


def _positions(trades: Trades, bars: int) -> NDArray[np.float64]:
    """Signed quantity held at each close: from the bar of the entry up to the one before the exit's."""
    position = np.zeros(bars)
    held = np.where(trades.closed, trades.exit_bar, bars) - trades.entry_bar
    starts = np.repeat(trades.entry_bar - (np.cumsum(held) - held), held)
    position[starts + np.arange(len(starts))] = np.repeat(trades.side * trades.quantity, held)
    return position
