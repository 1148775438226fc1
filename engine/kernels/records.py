"""The structs that kernels share: a position's state, a run's rules, a row of the trade log."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Records = NDArray[np.void]

# Wishes: one byte a bar.
ENTER, EXIT, ENTER_SHORT, EXIT_SHORT = 1, 2, 4, 8

# Exit reasons: indexes into EXIT_REASONS; NONE while nothing ends the position.
EXIT_REASONS = ("signal", "stop", "target", "trailing", "time", "open")
SIGNAL, STOP, TARGET, TRAILING, TIME, OPEN = range(6)
NONE = -1

ALL_IN, FRACTION, FIXED_NOTIONAL, FIXED_QUANTITY = range(4)

STATE = np.dtype(
    (
        np.record,
        [
            ("cash", "f8"),
            ("quantity", "f8"),  # signed: negative while short
            ("entry_price", "f8"),
            ("highest", "f8"),  # since entry
            ("lowest", "f8"),
            ("entry_bar", "i8"),
            ("due_bar", "i8"),  # at whose close the time exit is given
            ("waiting_exit", "i8"),  # reason of the exit that fills at the next open, or NONE
            ("waiting_entry", "i8"),  # side of the entry that fills at the next open, or 0
            ("trades", "i8"),
            ("ambiguous", "i8"),
            ("unfilled", "i8"),
        ],
    )
)

RULES = np.dtype(
    (
        np.record,
        [
            ("fee_rate", "f8"),
            ("slippage_rate", "f8"),
            ("size", "f8"),
            ("quantity_step", "f8"),  # 0: none
            ("price_tick", "f8"),  # 0: none
            ("stop_loss", "f8"),  # 0: none, as are the two below
            ("take_profit", "f8"),
            ("trailing_stop", "f8"),
            ("sizing", "i8"),
            ("hold_bars", "i8"),
            ("wishes", "i8"),  # mask of the wishes that the direction allows
            ("guarded", "i8"),  # any of stop, target, trailing is set
            ("stops_from_entry", "i8"),
            ("same_close", "i8"),
            ("target_first", "i8"),  # the best case of an ambiguous bar
        ],
    )
)

TRADE = np.dtype(
    (
        np.record,
        [
            ("entry_bar", "i8"),
            ("exit_bar", "i8"),
            ("entry_price", "f8"),
            ("exit_price", "f8"),
            ("quantity", "f8"),
            ("fee", "f8"),
            ("slippage", "f8"),
            ("pnl", "f8"),
            ("return_", "f8"),
            ("mae", "f8"),
            ("mfe", "f8"),
            ("hold_bars", "i8"),
            ("side", "i8"),
            ("exit_reason", "i8"),
        ],
    )
)


class Prices(NamedTuple):
    """The four prices of consecutive bars, float64[n] each."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats


class Curve(NamedTuple):
    """What a run writes at each close, float64[n] each: equity, and the signed quantity held."""

    equity: Floats
    position: Floats
