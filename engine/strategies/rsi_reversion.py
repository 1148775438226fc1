"""RSI reversion."""

from engine.bars import Bars
from engine.catalog import number, whole
from engine.kernels.indicators import wilder_rsi
from engine.params import Params
from engine.signals import Signals


def signals(bars: Bars, params: Params) -> Signals:
    """Enter while Wilder's RSI(period) of the closes is below `lower`, exit while it is above `upper`: levels.

    The RSI exists from bar `period` on. Short is the mirror image around 50: enter above 100 - lower, exit below
    100 - upper.
    """
    rsi = wilder_rsi(bars.close, whole(params, "period"))
    lower, upper = number(params, "lower"), number(params, "upper")
    return Signals(rsi < lower, rsi > upper, rsi > 100.0 - lower, rsi < 100.0 - upper)
