"""Volume profiles: where in the price range of a window its volume was traded."""

import numpy as np
from numpy.typing import NDArray

from engine.kernels import njit

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Volumes this close, as a fraction of the window's, are equal: a share such as 0.2 of equal bars is met exactly.
ROUNDING = 1e-12


@njit
def volume_from(price: float, tops: Floats, bottoms: Floats, volumes: Floats) -> float:
    """The volume traded at or above a price, each bar's volume spread evenly over its own height."""
    total = 0.0
    for j in range(len(volumes)):
        height = tops[j] - bottoms[j]
        if bottoms[j] >= price:
            total += volumes[j]
        elif tops[j] > price:
            total += volumes[j] * ((tops[j] - price) / height)
    return total


@njit
def bin_edge(lowest: float, width: float, number: int) -> float:
    """The lower edge of a price bin; two roundings, never fused into one."""
    return lowest + number * width


@njit
def bins_below(high: float, lowest: float, width: float, num_bins: int, factor: float) -> int:
    """How many bins have a lower edge that, times factor, the high reaches."""
    count = int(min(max((high / factor - lowest) / width, 0.0), float(num_bins)))
    while count < num_bins and high >= bin_edge(lowest, width, count) * factor:
        count += 1
    while count > 0 and high < bin_edge(lowest, width, count - 1) * factor:
        count -= 1
    return count


@njit
def zone_breakouts(
    high: Floats,
    tops: Floats,
    bottoms: Floats,
    volume: Floats,
    window: int,
    num_bins: int,
    share: float,
    factor: float,
) -> Flags:
    """bool[n]: the bar's high reaches factor x the resistance of the window of bars before it.

    Resistance is the lower edge of the highest bin from which on up `share` of the window's volume was traded. Volume
    from an edge up falls as edges rise, so the high has reached the resistance exactly when the first edge that it
    has not reached has less than that share above it: one look at the window a bar, however many bins there are.
    """
    n = len(high)
    enter = np.zeros(n, dtype=np.bool_)
    for i in range(window, n):
        top = tops[i - window : i]
        bottom = bottoms[i - window : i]
        traded = volume[i - window : i]
        lowest = bottom[0]
        highest = top[0]
        total = 0.0
        for j in range(window):
            lowest = min(lowest, bottom[j])
            highest = max(highest, top[j])
            total += traded[j]
        width = (highest - lowest) / num_bins
        if total <= 0.0 or width <= 0.0:
            continue
        reached = bins_below(high[i], lowest, width, num_bins, factor)
        if reached == 0:
            continue
        if reached == num_bins:
            enter[i] = True
            continue
        above = volume_from(bin_edge(lowest, width, reached), top, bottom, traded)
        enter[i] = above < share * total - ROUNDING * total
    return enter


@njit
def loud_rises(
    open_: Floats, high: Floats, low: Floats, close: Floats, volume: Floats, window: int, multiple: float, body: float
) -> Flags:
    """bool[n]: a rising bar with a long body, short wicks, and volume of `multiple` times the mean of the window."""
    n = len(close)
    enter = np.zeros(n, dtype=np.bool_)
    for i in range(n):
        start = open_[i]
        if not (close[i] > start and (close[i] - start) / start >= body):
            continue
        upper = max((high[i] - close[i]) / start, 0.0)
        lower = max((start - low[i]) / start, 0.0)
        if upper < 2.0 * body and lower < 2.0 * body:
            recent = volume[max(0, i - window + 1) : i + 1]
            enter[i] = volume[i] >= multiple * (recent.sum() / len(recent))
    return enter
