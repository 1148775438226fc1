"""A BacktestSpec as the struct that the kernels read."""

import numpy as np

from engine.kernels.records import ENTER, ENTER_SHORT, EXIT, EXIT_SHORT, RULES, Records
from engine.spec import BacktestSpec

_WISHES = {
    "long": ENTER | EXIT,
    "short": ENTER_SHORT | EXIT_SHORT,
    "both": ENTER | EXIT | ENTER_SHORT | EXIT_SHORT,
}
_SIZINGS = ("all_in", "fraction", "fixed_notional", "fixed_quantity")
_NEVER = 1 << 60


def rules_of(spec: BacktestSpec, hold_bars: int | None = None, *, target_first: bool = False) -> Records:
    """A record array of one: the spec's costs, sizing, exits and fill rule.

    `hold_bars`: the strategy's own time exit; the earlier of it and the spec's wins. `target_first`: when stop and
    target lie in one bar the target is taken, the best case of the ambiguity band.
    """
    exits, sizing = spec.exits, spec.sizing
    rules = np.zeros(1, dtype=RULES)
    row = rules[0]
    row.fee_rate = spec.costs.fee_rate
    row.slippage_rate = spec.costs.slippage_rate
    row.sizing = _SIZINGS.index(sizing.kind)
    row.size = sizing.value or 0.0
    row.quantity_step = sizing.quantity_step or 0.0
    row.price_tick = sizing.price_tick or 0.0
    row.stop_loss = exits.stop_loss or 0.0
    row.take_profit = exits.take_profit or 0.0
    row.trailing_stop = exits.trailing_stop or 0.0
    row.guarded = any((exits.stop_loss, exits.take_profit, exits.trailing_stop))
    row.stops_from_entry = exits.stops_from == "entry_bar"
    row.hold_bars = min(bars for bars in (hold_bars, exits.hold_bars, _NEVER) if bars is not None)
    row.wishes = _WISHES[spec.direction]
    row.same_close = spec.fill == "same_close"
    row.target_first = target_first
    return rules
