"""Fewer points with the same picture: extremes survive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

POINTS: Final = 2_000
CANDLES: Final = 1_500
MINUTE: Final = 60
HOUR: Final = 3_600
DAY: Final = 86_400
BUCKETS: Final = (
    *(MINUTE * n for n in (1, 3, 5, 10, 15, 30)),
    *(HOUR * n for n in (1, 2, 4, 6, 12)),
    *(DAY * n for n in (1, 2, 7, 14, 28, 56, 112, 364)),
)


def shared_indices(columns: Sequence[NDArray[np.float64]], points: int = POINTS) -> NDArray[np.int64]:
    """Positions to keep so that each column shows its shape, with its lowest and highest point always among them."""
    length = len(columns[0])
    if length <= points:
        return np.arange(length)
    from tsdownsample import MinMaxLTTBDownsampler

    share = points // len(columns) - 4
    kept = [np.array([0, length - 1])]
    for column in columns:
        kept.append(MinMaxLTTBDownsampler().downsample(np.ascontiguousarray(column), n_out=share).astype(np.int64))
        kept.append(np.array([np.argmin(column), np.argmax(column)]))
    return np.unique(np.concatenate(kept))


def bucket_seconds(bar_seconds: int, span_seconds: float, candles: int = CANDLES) -> int:
    """The shortest round length of candle, a multiple of the bar's, that shows the span in at most `candles`."""
    for seconds in BUCKETS:
        if seconds % bar_seconds == 0 and span_seconds / seconds <= candles:
            return seconds
    weeks = -(-span_seconds // (candles * 7 * DAY))
    return int(weeks) * 7 * DAY


def candles(bars: dict[str, NDArray[np.float64]], seconds: NDArray[np.int64], size: int) -> dict[str, NDArray[Any]]:
    """Bars joined to candles of `size` seconds: first open, highest high, lowest low, last close, summed volume.

    `start` and `end` are the numbers of each candle's first and last bar.
    """
    slot = seconds // size
    starts = np.flatnonzero(np.diff(slot, prepend=slot[0] - 1))
    ends = np.append(starts[1:], len(slot)) - 1
    return {
        "time": slot[starts] * size,
        "start": starts,
        "end": ends,
        "open": bars["open"][starts],
        "high": np.maximum.reduceat(bars["high"], starts),
        "low": np.minimum.reduceat(bars["low"], starts),
        "close": bars["close"][ends],
        "volume": np.add.reduceat(bars["volume"], starts),
    }


def short(values: NDArray[np.float64], digits: int = 7) -> list[float]:
    """Values with as many decimals as `digits` significant ones need at their largest: small JSON, same pixels."""
    largest = float(np.max(np.abs(values))) if len(values) else 0.0
    whole = int(np.floor(np.log10(largest))) + 1 if largest > 0 else 0
    rounded: list[float] = np.round(values, max(digits - whole, 0)).tolist()
    return rounded
