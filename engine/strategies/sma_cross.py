"""Moving average cross."""

from engine.bars import Bars
from engine.catalog import whole
from engine.kernels.averages import average_signs, crosses
from engine.params import Params
from engine.signals import Signals, mirrored


def signals(bars: Bars, params: Params) -> Signals:
    """Long while the simple average of the last `fast` closes is above that of the last `slow`.

    From bar `slow` on: enter when fast <= slow at the bar before and fast > slow now; exit when fast >= slow at the
    bar before and fast < slow now. Averages compare as in exact decimal arithmetic, so equal ones are equal.
    Short is the reverse: the exit enters, the entry exits.
    """
    fast, slow = whole(params, "fast"), whole(params, "slow")
    up, down = crosses(average_signs(bars.close, fast, slow), slow)
    return mirrored(up, down)
