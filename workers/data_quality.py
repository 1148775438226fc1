"""What is missing in the bars of a run."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Gaps:
    """Bars that the timeframe expects and the data has not; the largest hole in seconds and where it begins."""

    missing_bars: int = 0
    largest_gap_seconds: int = 0
    largest_gap_at: int | None = None  # microseconds UTC of the last bar before it

    def join(self, other: "Gaps") -> "Gaps":
        """The gaps of two symbols together."""
        worst = max(self, other, key=lambda gaps: gaps.largest_gap_seconds)
        return Gaps(self.missing_bars + other.missing_bars, worst.largest_gap_seconds, worst.largest_gap_at)


def find_gaps(timestamp: NDArray[np.int64], timeframe_seconds: int) -> Gaps:
    """Gaps between `timestamp` (n, microseconds, increasing) at a bar each `timeframe_seconds`."""
    if len(timestamp) < 2:
        return Gaps()
    steps = np.diff(timestamp)
    bar = timeframe_seconds * 1_000_000
    missing = int(np.maximum(steps // bar - 1, 0).sum())
    if missing == 0:
        return Gaps()
    worst = int(steps.argmax())
    return Gaps(missing, int(steps[worst] - bar) // 1_000_000, int(timestamp[worst]))
