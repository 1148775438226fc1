"""Volume zone breakout."""

import numpy as np
from numpy.typing import NDArray

from engine.bars import Bars
from engine.catalog import number, whole
from engine.kernels.volume import zone_breakouts
from engine.params import Params
from engine.signals import Signals, long_only


def signals(bars: Bars, params: Params) -> Signals:
    """Enter when the high reaches the volume zone's resistance; leave after `hold_period_bars`.

    Window: the `volume_window` bars before bar i, which is not part of it; no signal before there are that many.
    `num_bins` equal price bins reach from the window's lowest low to its highest high (`include_wicks` false: lowest
    and highest of open and close, and bars then reach from the lower to the higher of their own open and close).
    Each bar's volume is spread over the bins in proportion to the overlap; a bar without height has all of it in its
    bin; a price on an edge belongs to the bin above, the top edge to the last bin. Going down from the top bin,
    resistance is the lower edge of the bin at which the accumulated volume first reaches `top_percentile` of the
    window's. Enter when high >= resistance x (1 + breakout_buffer). A flat window or no volume: no signal.
    """
    tops, bottoms = (bars.high, bars.low) if params["include_wicks"] else _bodies(bars)
    enter = zone_breakouts(
        bars.high,
        tops,
        bottoms,
        bars.volume,
        whole(params, "volume_window"),
        whole(params, "num_bins"),
        number(params, "top_percentile"),
        1.0 + number(params, "breakout_buffer"),
    )
    return long_only(enter, hold_bars=whole(params, "hold_period_bars"))


def _bodies(bars: Bars) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    tops, bottoms = np.maximum(bars.open, bars.close), np.minimum(bars.open, bars.close)
    tops.flags.writeable = bottoms.flags.writeable = False  # the type that the kernel is compiled for
    return tops, bottoms
