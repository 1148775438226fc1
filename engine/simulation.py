"""simulate: one symbol's backtest, from bars to trades and equity. The only driver of the trading kernels."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engine.bars import Bars, validate_bars
from engine.catalog import STRATEGIES, Catalog, get_strategy
from engine.errors import EquityOverflow
from engine.kernels.orders import begin
from engine.kernels.records import ENTER, ENTER_SHORT, EXIT_REASONS, STATE, TRADE, Curve, Prices, Records
from engine.kernels.step import run_chunk, value_open
from engine.portfolio import drawdown_of
from engine.rules import rules_of
from engine.signals import Signals
from engine.spec import BacktestSpec
from engine.trades import Trades, trades_of
from engine.wishes import WishSource

__all__ = ["CHUNK_BARS", "EXIT_REASONS", "Signals", "Simulation", "Trades", "simulate"]

CHUNK_BARS = 65_536
MOST_EQUITY = 1e150  # its square, which the metrics take, is still a number

OnChunk = Callable[[int, int], None]


@dataclass(frozen=True)
class Simulation:
    """What one symbol's backtest came to; arrays of the bars' length n, money in the quote currency.

    equity: cash + position x close at each close. position: signed quantity held at each close. wishes: the
    strategy's signals, one byte a bar. ambiguous_bars: bars in which both stop and target lay, the stop taken.
    unfilled_orders: entries whose quantity was zero, or that the cash could not pay. best_return, worst_return: the
    total return with the target, and with the stop, taken in every ambiguous bar (fractions; equal without such bars).
    """

    bars: Bars
    trades: Trades
    equity: NDArray[np.float64]
    position: NDArray[np.float64]
    wishes: NDArray[np.uint8]
    initial_cash: float
    ambiguous_bars: int
    unfilled_orders: int
    best_return: float
    worst_return: float

    @property
    def final_equity(self) -> float:
        """Equity at the last close."""
        return float(self.equity[-1])

    @cached_property
    def cash(self) -> NDArray[np.float64]:
        """float64[n]: equity - position x close."""
        return self.equity - self.position * self.bars.close

    @cached_property
    def drawdown(self) -> NDArray[np.float64]:
        """float64[n]: 1 - equity / running peak, as a fraction; the peak starts at the initial cash."""
        return drawdown_of(self.equity, self.initial_cash)


def simulate(
    bars: Bars,
    spec: BacktestSpec,
    on_chunk: OnChunk | None = None,
    *,
    strategies: Catalog = STRATEGIES,
    chunk_bars: int = CHUNK_BARS,
) -> Simulation:
    """Run the spec's strategy over one symbol's bars. What happens in a bar, and in which order: docs/engine.md.

    `on_chunk(done_bars, total_bars)` is called after every chunk of `chunk_bars` bars; what it raises stops the run.
    Raises BarsError for bars that cannot be traded on, SpecError for an unknown strategy, StrategyError when its
    signals break their contract, EquityOverflow when the equity leaves 1e150.
    """
    bars = validate_bars(bars)
    source = WishSource(get_strategy(spec.strategy, strategies), bars, spec.params)
    wishes = np.empty(len(bars), dtype=np.uint8)
    curve = Curve(np.empty(len(bars)), np.empty(len(bars)))
    run = _Run(bars, spec.initial_cash)
    for start in range(0, len(bars), chunk_bars):
        stop = min(start + chunk_bars, len(bars))
        wishes[start:stop] = source.wishes(start, stop)
        run.advance(rules_of(spec, source.hold_bars), start, wishes[start:stop], _cut(curve, start, stop))
        if not abs(curve.equity[stop - 1]) < MOST_EQUITY:
            raise EquityOverflow(stop - 1)
        if on_chunk is not None:
            on_chunk(stop, len(bars))
    value_open(run.state, run.log, len(bars) - 1, float(bars.close[-1]))
    state = run.state[0]
    worst = float(curve.equity[-1]) / spec.initial_cash - 1.0
    best = worst
    if state.ambiguous:
        rules = rules_of(spec, source.hold_bars, target_first=True)
        best = _best_case(bars, rules, wishes, spec.initial_cash, on_chunk)
    return Simulation(
        bars=bars,
        trades=trades_of(run.log[: state.trades]),
        equity=curve.equity,
        position=curve.position,
        wishes=wishes,
        initial_cash=spec.initial_cash,
        ambiguous_bars=int(state.ambiguous),
        unfilled_orders=int(state.unfilled),
        best_return=best,
        worst_return=worst,
    )


class _Run:
    """The state and the trade log of a run, carried from chunk to chunk."""

    def __init__(self, bars: Bars, cash: float) -> None:
        self.bars = bars
        self.state: Records = np.zeros(1, dtype=STATE)
        self.log: Records = np.empty(0, dtype=TRADE)
        begin(self.state, cash)

    def advance(self, rules: Records, start: int, wishes: NDArray[np.uint8], curve: Curve) -> None:
        self.make_room(int(np.count_nonzero(wishes & (ENTER | ENTER_SHORT))))
        part = self.bars.slice(start, start + len(wishes))
        prices = Prices(part.open, part.high, part.low, part.close)
        run_chunk(self.state, rules, self.log, prices, wishes, curve, start)

    def make_room(self, entries: int) -> None:
        """A log that holds every trade these entries can open, and the one that waits from the chunk before."""
        needed = int(self.state[0].trades) + entries + 1
        if needed > len(self.log):
            grown = np.empty(max(needed, 2 * len(self.log)), dtype=TRADE)
            grown[: len(self.log)] = self.log
            self.log = grown


def _cut(curve: Curve, start: int, stop: int) -> Curve:
    return Curve(curve.equity[start:stop], curve.position[start:stop])


def _best_case(bars: Bars, rules: Records, wishes: NDArray[np.uint8], cash: float, on_chunk: OnChunk | None) -> float:
    run = _Run(bars, cash)
    scratch = Curve(np.empty(CHUNK_BARS), np.empty(CHUNK_BARS))
    last = 0
    for start in range(0, len(bars), CHUNK_BARS):
        part = wishes[start : start + CHUNK_BARS]
        last = len(part) - 1
        run.advance(rules, start, part, _cut(scratch, 0, len(part)))
        if on_chunk is not None:
            on_chunk(len(bars), len(bars))
    return float(scratch.equity[last]) / cash - 1.0
