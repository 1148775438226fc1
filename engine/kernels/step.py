"""The one step of a backtest: what happens in one bar, in order. simulate, its best case and PositionManager use it."""

from typing import Any

import numpy as np

from engine.kernels import njit
from engine.kernels.orders import close_position, extend, open_position, value_trade
from engine.kernels.records import (
    ENTER,
    ENTER_SHORT,
    EXIT,
    EXIT_SHORT,
    NONE,
    SIGNAL,
    STOP,
    TARGET,
    TIME,
    TRAILING,
    Curve,
    Prices,
    Records,
)


@njit
def fill_waiting(state: Any, rules: Any, trade: Any, fresh: Any, bar: int, open_: float) -> None:
    """1. Orders from the previous close fill at this open: the exit, then the entry. After the exit nothing is held."""
    if state.waiting_exit != NONE:
        close_position(state, rules, trade, bar, open_, state.waiting_exit)
        state.waiting_exit = NONE
    if state.waiting_entry != 0:
        open_position(state, rules, fresh, bar, open_, state.waiting_entry)
        state.waiting_entry = 0


@njit
def touched(state: Any, rules: Any, prices: tuple[float, float, float, float]) -> tuple[int, float]:
    """Which of stop, trailing stop and target this bar touches, and at what price it fills; NONE when none."""
    open_, high, low, _ = prices
    side = 1.0 if state.quantity > 0.0 else -1.0
    worst, best = (low, high) if side > 0.0 else (high, low)
    stop, reason = -side * np.inf, STOP
    target = side * np.inf
    if rules.stop_loss > 0.0:
        stop = state.entry_price * (1.0 - side * rules.stop_loss)
    if rules.trailing_stop > 0.0:
        peak = state.highest if side > 0.0 else state.lowest
        trailing = peak - side * rules.trailing_stop * state.entry_price
        if side * (trailing - stop) > 0.0:
            stop, reason = trailing, TRAILING
    if rules.take_profit > 0.0:
        target = state.entry_price * (1.0 + side * rules.take_profit)
    if side * (stop - open_) >= 0.0:
        return reason, open_
    stopped = side * (stop - worst) >= 0.0
    reached = side * (best - target) >= 0.0
    if stopped and reached:
        state.ambiguous += 1
    if reached and (rules.target_first or not stopped):
        return TARGET, (open_ if side * (open_ - target) >= 0.0 else target)
    return (reason, stop) if stopped else (NONE, open_)


@njit
def guard(state: Any, rules: Any, trade: Any, bar: int, prices: tuple[float, float, float, float]) -> None:
    """2. Stops and targets of the open position against this bar's range."""
    open_, high, low, _ = prices
    if rules.guarded and (rules.stops_from_entry or bar > state.entry_bar):
        reason, price = touched(state, rules, prices)
        if reason != NONE:
            extend(state, open_, open_)
            close_position(state, rules, trade, bar, price, reason)
            return
    extend(state, high, low)


@njit
def exit_wish(state: Any, bar: int, wish: int) -> int:
    """The reason to leave the open position at this close, or NONE."""
    if state.quantity == 0.0:
        return NONE
    if bar >= state.due_bar:
        return TIME
    leave = EXIT if state.quantity > 0.0 else EXIT_SHORT
    return SIGNAL if wish & leave else NONE


@njit
def entry_wish(wish: int) -> int:
    """The side to enter at this close; a long and a short wish at once cancel each other."""
    long = 1 if wish & ENTER else 0
    short = 1 if wish & ENTER_SHORT else 0
    return long - short


@njit
def decide(state: Any, rules: Any, trade: Any, fresh: Any, bar: int, close: float, wish: int) -> None:
    """3. The strategy's wish and the time exit at this close: filled here, or left waiting for the next open."""
    allowed = wish & rules.wishes
    reason = exit_wish(state, bar, allowed)
    side = entry_wish(allowed)
    if rules.same_close:
        if reason != NONE:
            close_position(state, rules, trade, bar, close, reason)
        if side != 0 and state.quantity == 0.0:
            open_position(state, rules, fresh, bar, close, side)
        return
    if reason != NONE:
        state.waiting_exit = reason
    if side != 0 and (state.quantity == 0.0 or state.waiting_exit != NONE):
        state.waiting_entry = side


@njit
def step(
    state: Any, rules: Any, trade: Any, fresh: Any, bar: int, prices: tuple[float, float, float, float], wish: int
) -> float:
    """One bar, all four events in order; the equity at its close.

    `trade`: the log's row of the open or last trade. `fresh`: the row after it; a bar has one entry at most.
    """
    before = state.trades
    if state.waiting_exit != NONE or state.waiting_entry != 0:
        fill_waiting(state, rules, trade, fresh, bar, prices[0])
    if state.trades > before:
        trade = fresh
    if state.quantity != 0.0:
        guard(state, rules, trade, bar, prices)
    decide(state, rules, trade, fresh, bar, prices[3], wish)
    return float(state.cash + state.quantity * prices[3])


@njit
def run_chunk(
    states: Records, rules: Records, log: Records, prices: Prices, wishes: Any, curve: Curve, first: int
) -> None:
    """Step through consecutive bars, of which the first has number `first`; state and log carry over to the next.

    `states`, `rules`: one record each. `log` has room for a row more than all trades so far and the entries to come.
    """
    state, rule = states[0], rules[0]
    for k in range(len(wishes)):
        bar = (prices.open[k], prices.high[k], prices.low[k], prices.close[k])
        row = state.trades
        curve.equity[k] = step(state, rule, log[row - 1], log[row], first + k, bar, wishes[k])
        curve.position[k] = state.quantity


@njit
def step_once(
    states: Records, rules: Records, log: Records, bar: int, prices: tuple[float, float, float, float], wish: int
) -> float:
    """One bar for a caller that has one at a time; the equity at its close."""
    state = states[0]
    row = state.trades
    return step(state, rules[0], log[row - 1], log[row], bar, prices, wish)


@njit
def decide_again(states: Records, rules: Records, log: Records, bar: int, close: float, wish: int) -> float:
    """A later wish at the same close; the equity after it."""
    state = states[0]
    row = state.trades
    decide(state, rules[0], log[row - 1], log[row], bar, close, wish)
    return float(state.cash + state.quantity * close)


@njit
def value_open(states: Records, log: Records, bar: int, close: float) -> None:
    """Value the trade that is still open at this close, without an exit fee."""
    state = states[0]
    if state.quantity != 0.0:
        value_trade(state, log[state.trades - 1], bar, close)
