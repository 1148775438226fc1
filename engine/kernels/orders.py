"""Fills: prices, sizes, and the opening and closing of a position with its row in the trade log."""

from typing import Any

import numpy as np

from engine.kernels import njit
from engine.kernels.records import ALL_IN, FIXED_NOTIONAL, FRACTION, NONE, OPEN, Records

# Room for rounding when a size is held against the cash, and a quantity against its step.
ROUNDING = 1e-12


@njit
def to_step(value: float, step: float, up: bool) -> float:
    """The multiple of step at or below (up: above) value; a value within rounding of a multiple is that multiple."""
    units = value / step
    nearest = np.rint(units)
    if abs(units - nearest) > ROUNDING * nearest:
        nearest = np.ceil(units) if up else np.floor(units)
    per_unit = np.rint(1.0 / step)
    if abs(per_unit * step - 1.0) < ROUNDING:  # 0.01 is no binary number, 1 / 100 rounds to the nearest one
        return float(nearest / per_unit)
    return float(nearest * step)


@njit
def fill_price(rules: Any, price: float, side: int) -> float:
    """The price of a fill: slipped and rounded to the tick, both against the trader. side +1 buys, -1 sells."""
    slipped = price * (1.0 + side * rules.slippage_rate)
    if rules.price_tick == 0.0:
        return float(slipped)
    return float(max(to_step(slipped, rules.price_tick, side > 0), rules.price_tick))


@njit
def wanted_quantity(rules: Any, cash: float, price: float) -> float:
    """The quantity of an entry at this fill price, 0 when there is no cash for it."""
    if cash <= 0.0:
        return 0.0
    unit_cost = price * (1.0 + rules.fee_rate)
    if rules.sizing == ALL_IN:
        quantity = cash / unit_cost
    elif rules.sizing == FRACTION:
        quantity = rules.size * cash / unit_cost
    elif rules.sizing == FIXED_NOTIONAL:
        quantity = rules.size / price
    else:
        quantity = rules.size
    if rules.quantity_step > 0.0:
        quantity = to_step(quantity, rules.quantity_step, False)
    return float(quantity) if quantity * unit_cost <= cash * (1.0 + ROUNDING) else 0.0


@njit
def open_position(state: Any, rules: Any, trade: Any, bar: int, price: float, side: int) -> None:
    """Fill an entry at this price and begin its row, or count it as unfilled when its quantity is zero."""
    fill = fill_price(rules, price, side)
    quantity = wanted_quantity(rules, state.cash, fill)
    if quantity <= 0.0:
        state.unfilled += 1
        return
    fee = rules.fee_rate * quantity * fill
    state.cash -= side * quantity * fill + fee
    state.quantity = side * quantity
    state.entry_price = fill
    state.highest = fill
    state.lowest = fill
    state.entry_bar = bar
    state.due_bar = bar + rules.hold_bars - (0 if rules.same_close else 1)
    state.trades += 1
    trade.entry_bar = bar
    trade.exit_bar = -1
    trade.side = side
    trade.entry_price = fill
    trade.exit_price = np.nan
    trade.quantity = quantity
    trade.fee = fee
    trade.slippage = quantity * abs(fill - price)
    trade.exit_reason = OPEN


@njit
def close_position(state: Any, rules: Any, trade: Any, bar: int, price: float, reason: int) -> None:
    """Fill the exit of the whole position at this price and complete its row."""
    side = 1 if state.quantity > 0.0 else -1
    quantity = abs(state.quantity)
    fill = fill_price(rules, price, -side)
    fee = rules.fee_rate * quantity * fill
    trade.exit_bar = bar
    trade.exit_price = fill
    trade.fee += fee
    trade.slippage += quantity * abs(fill - price)
    trade.exit_reason = reason
    extend(state, price, price)
    value_trade(state, trade, bar, fill)
    state.cash += side * quantity * fill - fee
    state.quantity = 0.0


@njit
def value_trade(state: Any, trade: Any, bar: int, price: float) -> None:
    """Write what the trade has earned with the position valued at this price, and how far it swung on the way."""
    side = trade.side
    entry = trade.entry_price
    trade.hold_bars = bar - trade.entry_bar
    trade.pnl = side * (price - entry) * trade.quantity - trade.fee
    trade.return_ = trade.pnl / (trade.quantity * entry)
    rise = state.highest / entry - 1.0
    fall = state.lowest / entry - 1.0
    trade.mae = fall if side > 0 else -rise
    trade.mfe = rise if side > 0 else -fall


@njit
def extend(state: Any, high: float, low: float) -> None:
    """Take prices seen while in the position into its extremes."""
    state.highest = max(state.highest, high)
    state.lowest = min(state.lowest, low)


@njit
def begin(states: Records, cash: float) -> None:
    """Make the one record of this array a fresh state: this much cash, no position, nothing waiting."""
    state = states[0]
    state.cash = cash
    state.quantity = 0.0
    state.waiting_exit = NONE
    state.waiting_entry = 0
    state.trades = 0
    state.ambiguous = 0
    state.unfilled = 0
