"""Buy and hold."""

import numpy as np

from engine.bars import Bars
from engine.params import Params
from engine.signals import Signals, long_only


def signals(bars: Bars, params: Params) -> Signals:
    """Enter at the first bar's close and never leave. No short signals."""
    enter = np.zeros(len(bars), dtype=np.bool_)
    enter[:1] = True
    return long_only(enter)
