"""The portfolio: each symbol trades its own cash, and their curves add up."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.trades import Trades

Floats = NDArray[np.float64]


class Closes(Protocol):
    """Times and closes of bars; `Bars` has them."""

    @property
    def timestamp(self) -> NDArray[np.int64]: ...
    @property
    def close(self) -> Floats: ...


class Run(Protocol):
    """What figures are computed from: a `Simulation`, or a `StoredRun`. Its arrays are explained there."""

    @property
    def bars(self) -> Closes: ...
    @property
    def trades(self) -> Trades: ...
    @property
    def equity(self) -> Floats: ...
    @property
    def position(self) -> Floats: ...
    @property
    def initial_cash(self) -> float: ...
    @property
    def drawdown(self) -> Floats: ...


@dataclass(frozen=True, slots=True)
class PortfolioCurve:
    """Equity of all symbols together over the union of their timestamps, arrays of equal length.

    timestamp: int64 microseconds UTC. equity: money. drawdown: 1 - equity / running peak, a fraction, the peak
    starting at `initial_cash`, the sum of the symbols' initial cash.
    """

    timestamp: NDArray[np.int64]
    equity: Floats
    drawdown: Floats
    initial_cash: float


def combine(simulations: Mapping[str, Run]) -> PortfolioCurve:
    """The portfolio's curve: the sum of the symbols' equity at every timestamp of any of them.

    A symbol's last value is carried forward; before its first bar it counts with its initial cash.
    """
    runs = list(simulations.values())
    if len(runs) == 1:
        run = runs[0]
        return PortfolioCurve(run.bars.timestamp, run.equity, run.drawdown, run.initial_cash)
    cash = sum(run.initial_cash for run in runs)
    timestamp = union_of_timestamps(runs)
    equity = total(runs, timestamp, lambda run: run.equity, lambda run: run.initial_cash)
    return PortfolioCurve(timestamp, equity, drawdown_of(equity, cash), cash)


def drawdown_of(equity: Floats, initial_cash: float) -> Floats:
    """1 - equity / running peak at each bar, as a fraction; the peak starts at the initial cash."""
    return 1.0 - equity / np.maximum.accumulate(np.maximum(equity, initial_cash))


def union_of_timestamps(runs: Sequence[Run]) -> NDArray[np.int64]:
    """Every timestamp of any of the runs, once each, in order."""
    first = runs[0].bars.timestamp
    if all(np.array_equal(first, run.bars.timestamp) for run in runs[1:]):
        return first
    return np.unique(np.concatenate([run.bars.timestamp for run in runs]))


def total(
    runs: Sequence[Run],
    timestamp: NDArray[np.int64],
    values: Callable[[Run], Floats],
    before: Callable[[Run], float],
) -> Floats:
    """Sum over the runs of a value per bar, carried forward; `before(run)` counts until a run's first bar."""
    result = np.zeros(len(timestamp))
    for run in runs:
        own = values(run)
        if len(own) == len(timestamp):
            result += own
            continue
        row = np.searchsorted(run.bars.timestamp, timestamp, side="right") - 1
        result += np.where(row >= 0, own[row], before(run))
    return result
