"""SPEC_FIELDS: label, help, default and range of every field of a BacktestSpec that is not a strategy's own param.

Keys are dotted paths as in SpecError.field. Symbols, dates and the time zone are text and have their own checks.
"""

from engine.params import ParamSpec

TIMEFRAMES: dict[str, int] = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14400, "1d": 86400}


def _fraction(name: str, default: float | None, maximum: float, label: str, help_: str) -> ParamSpec:
    return ParamSpec(
        name=name,
        type="float",
        default=default,
        minimum=0,
        maximum=maximum,
        step=0.0001,
        exclusive_minimum=default is None,
        label=label,
        help=help_,
    )


def _choice(name: str, default: str | None, choices: tuple[str, ...], label: str, help_: str) -> ParamSpec:
    return ParamSpec(name=name, type="choice", default=default, choices=choices, label=label, help=help_)


def _amount(name: str, label: str, help_: str) -> ParamSpec:
    return ParamSpec(
        name=name, type="float", default=None, minimum=0, exclusive_minimum=True, maximum=1e15, label=label, help=help_
    )


SPEC_FIELDS: dict[str, ParamSpec] = {
    "timeframe": _choice("timeframe", "1h", tuple(TIMEFRAMES), "Timeframe", "How long one bar lasts."),
    "candle_size": ParamSpec(
        name="candle_size", type="int", default=None, minimum=1, maximum=100_000_000, step=1,
        label="Only the last bars", help="Use only this many bars at the end of the range; empty: all of them.",
    ),
    "initial_cash": ParamSpec(
        name="initial_cash", type="float", default=10_000.0, minimum=0, exclusive_minimum=True, maximum=1e15, step=100,
        label="Initial cash", help="For each symbol, in its quote currency.",
    ),
    "costs.fee_rate": _fraction("fee_rate", 0.001, 0.1, "Fee", "Part of every fill's value that the exchange keeps."),
    "costs.slippage_rate": _fraction(
        "slippage_rate", 0.0002, 0.1, "Slippage", "How much worse than its price every fill is: buys higher."
    ),
    "sizing.kind": _choice(
        "kind", "all_in", ("all_in", "fraction", "fixed_notional", "fixed_quantity"), "Position size",
        "All cash, a fraction of equity, a fixed amount of money, or a fixed quantity; never more than the cash.",
    ),
    "sizing.value": _amount("value", "Size", "The fraction (up to 1), the money, or the quantity; empty for all cash."),
    "sizing.quantity_step": _amount("quantity_step", "Quantity step", "Quantities round down to a multiple of this."),
    "sizing.price_tick": _amount(
        "price_tick", "Price tick", "Fill prices are rounded to a multiple of this: buys up, sells down."
    ),
    "exits.hold_bars": ParamSpec(
        name="hold_bars", type="int", default=None, minimum=1, maximum=1_000_000, step=1,
        label="Hold for (bars)", help="Close a position after so many bars, or the strategy's own limit if shorter.",
    ),
    "exits.stop_loss": ParamSpec(
        name="stop_loss", type="float", default=None, minimum=0, exclusive_minimum=True, maximum=1, step=0.001,
        label="Stop loss", help="Loss, as a fraction of the entry price, at which a position is closed.",
    ),
    "exits.take_profit": ParamSpec(
        name="take_profit", type="float", default=None, minimum=0, exclusive_minimum=True, maximum=100, step=0.001,
        label="Take profit", help="Gain, as a fraction of the entry price, at which a position is closed.",
    ),
    "exits.trailing_stop": ParamSpec(
        name="trailing_stop", type="float", default=None, minimum=0, exclusive_minimum=True, maximum=1, step=0.001,
        label="Trailing stop",
        help="Fall from the highest price since entry, as a fraction of the entry price, that closes a position.",
    ),
    "exits.stops_from": _choice(
        "stops_from", "entry_bar", ("entry_bar", "next_bar"), "Stops are live from",
        "The bar of the entry itself (it filled at the open, the rest of the bar can hit), or only the bar after it.",
    ),
    "fill": _choice(
        "fill", "next_open", ("next_open", "same_close"), "Orders fill at",
        "The open after the signal's bar, or that bar's own close.",
    ),
    "direction": _choice("direction", "long", ("long", "short", "both"), "Direction", "Which sides may be traded."),
    "annual_days": ParamSpec(
        name="annual_days", type="int", default=365, minimum=1, maximum=366, step=1,
        label="Trading days in a year", help="365 for a market that never closes, 252 for stocks.",
    ),
}  # fmt: skip
