"""High-volume long candle."""

from engine.bars import Bars
from engine.catalog import number, whole
from engine.kernels.volume import loud_rises
from engine.params import Params
from engine.signals import Signals, long_only


def signals(bars: Bars, params: Params) -> Signals:
    """Enter after a loud, long, rising bar; leave after `hold_period_bars`.

    volume >= vol_multiplier x mean(volume of the last `vol_ma_window` bars, this one included, fewer at the start),
    close > open, (close - open) / open >= body_pct, and both wicks, clipped at 0 and as fractions of the open, under
    2 x body_pct: (high - close) / open and (open - low) / open.
    """
    enter = loud_rises(
        bars.open,
        bars.high,
        bars.low,
        bars.close,
        bars.volume,
        whole(params, "vol_ma_window"),
        number(params, "vol_multiplier"),
        number(params, "body_pct"),
    )
    return long_only(enter, hold_bars=whole(params, "hold_period_bars"))
