"""MACD cross."""

import numpy as np

from engine.bars import Bars
from engine.catalog import whole
from engine.kernels.averages import crosses
from engine.kernels.indicators import macd
from engine.params import Params
from engine.signals import Signals, mirrored


def signals(bars: Bars, params: Params) -> Signals:
    """Enter when the MACD line crosses above its signal line, exit when it crosses below.

    Line: ema(fast) - ema(slow) of the closes; signal line: ema(signal) of the line; the first cross is possible at bar
    slow + signal - 1. Source: G. Appel, The Moving Average Convergence-Divergence Trading Method, 1979; averages start
    as in TA-Lib. Short is the reverse: the exit enters, the entry exits.
    """
    slow, smooth = whole(params, "slow"), whole(params, "signal")
    line, signal = macd(bars.close, whole(params, "fast"), slow, smooth)
    sides = np.sign(np.nan_to_num(line - signal)).astype(np.int8)
    up, down = crosses(sides, slow + smooth - 1)
    return mirrored(up, down)
