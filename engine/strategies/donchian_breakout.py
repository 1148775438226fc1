"""Donchian breakout."""

import numpy as np

from engine.bars import Bars
from engine.catalog import whole
from engine.kernels.indicators import extreme_before
from engine.params import Params
from engine.signals import Signals


def signals(bars: Bars, params: Params) -> Signals:
    """Enter when close > the highest high of the `entry` bars before, exit when close < the lowest low of the
    `exit` bars before; both from bar `entry` on.

    Short is the reverse: enter below the lowest low of `entry` bars, exit above the highest high of `exit` bars.
    """
    entry, leave = whole(params, "entry"), whole(params, "exit")
    late = np.arange(len(bars)) >= entry
    return Signals(
        enter=bars.close > extreme_before(bars.high, entry, 1.0),
        exit=late & (bars.close < extreme_before(bars.low, leave, -1.0)),
        enter_short=bars.close < extreme_before(bars.low, entry, -1.0),
        exit_short=late & (bars.close > extreme_before(bars.high, leave, 1.0)),
    )
