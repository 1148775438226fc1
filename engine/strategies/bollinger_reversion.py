"""Bollinger reversion."""

from engine.bars import Bars
from engine.catalog import number, whole
from engine.kernels.indicators import bollinger
from engine.params import Params
from engine.signals import Signals


def signals(bars: Bars, params: Params) -> Signals:
    """Enter when the close is below the lower band, exit when it is at the middle or above.

    Bands: mean of the last `period` closes (this one included) -/+ `deviations` population standard deviations.
    Source: J. Bollinger, Bollinger on Bollinger Bands, 2001. Short is the mirror image: enter above the upper band,
    exit at the middle or below.
    """
    middle, deviation = bollinger(bars.close, whole(params, "period"))
    away = number(params, "deviations") * deviation
    return Signals(
        enter=bars.close < middle - away,
        exit=bars.close >= middle,
        enter_short=bars.close > middle + away,
        exit_short=bars.close <= middle,
    )
