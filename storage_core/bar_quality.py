"""How good bars are: what is missing, what stands still, what jumps. Figures, and one word for them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from storage_core.bar_table import BarTable

Word: TypeAlias = Literal["good", "fair", "poor"]

MOST_GAPS, MOST_JUMPS = 40, 20
JUMP_LEAST = 0.20
"""A close that lies this much (as a logarithm) from the one before may be a jump ..."""
JUMP_TIMES = 20.0
"""... when that is also this many times the usual move (median of absolute moves) of these bars."""
GOOD_MISSING, FAIR_MISSING = 0.001, 0.02
GOOD_SILENT, FAIR_SILENT = 0.01, 0.20


@dataclass(frozen=True, slots=True)
class Quality:
    """Of bars in order of time.

    `missing_bars` the timeframe expects between first and last and are not there, in `gaps` holes; `largest_gaps`
    and `jumps` are (time of the bar before, time of the bar after, bars missing or move as a fraction), times in
    microseconds UTC. `zero_volume_bars` had no trade, the longest run of them is `longest_silence` bars.
    `off_grid_bars` do not open at a multiple of the timeframe. `jump_count` closes lie far from the one before.
    """

    rows: int
    missing_bars: int
    gaps: int
    largest_gap_seconds: int
    zero_volume_bars: int
    longest_silence: int
    off_grid_bars: int
    jump_count: int
    largest_gaps: tuple[tuple[int, int, int], ...] = ()
    jumps: tuple[tuple[int, int, float], ...] = ()

    @property
    def word(self) -> Word:
        """good, fair or poor, by the worst of missing bars, bars without volume, and bars off the grid."""
        missing = self.missing_bars / max(self.rows + self.missing_bars, 1)
        silent = self.zero_volume_bars / max(self.rows, 1)
        odd = self.off_grid_bars / max(self.rows, 1)
        if missing <= GOOD_MISSING and silent <= GOOD_SILENT and odd == 0 and self.jump_count == 0:
            return "good"
        return "fair" if missing <= FAIR_MISSING and silent <= FAIR_SILENT and odd <= FAIR_MISSING else "poor"

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `from_dict` reads it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, kept: dict[str, Any]) -> Quality:
        """What `as_dict` gave. Raises TypeError and KeyError for anything else."""
        gaps = tuple((int(a), int(b), int(c)) for a, b, c in kept["largest_gaps"])
        jumps = tuple((int(a), int(b), float(c)) for a, b, c in kept["jumps"])
        return cls(**{**kept, "largest_gaps": gaps, "jumps": jumps})


def quality_of(bars: BarTable, seconds: int) -> Quality:
    """The figures of `bars` (n, times increasing) of a timeframe of so many `seconds`."""
    import numpy as np  # where it is needed: listing bars does without

    step = seconds * 1_000_000
    holes = np.maximum(np.diff(bars.timestamp) // step - 1, 0)
    at = np.flatnonzero(holes)
    largest = np.sort(at[np.argsort(-holes[at], kind="stable")[:MOST_GAPS]])
    silent = bars.volume == 0
    found, moves = _jumps(bars.close)
    return Quality(
        rows=len(bars),
        missing_bars=int(holes.sum()),
        gaps=len(at),
        largest_gap_seconds=int(holes.max(initial=0)) * seconds,
        zero_volume_bars=int(silent.sum()),
        longest_silence=_longest_run(silent),
        off_grid_bars=int((bars.timestamp % step != 0).sum()),
        jump_count=len(found),
        largest_gaps=tuple((int(bars.timestamp[i]), int(bars.timestamp[i + 1]), int(holes[i])) for i in largest),
        jumps=tuple((int(bars.timestamp[i]), int(bars.timestamp[i + 1]), float(moves[i])) for i in found[:MOST_JUMPS]),
    )


def _jumps(close: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Where closes jump to the next one, and every move as a fraction of the close before."""
    import numpy as np

    if len(close) < 2:
        return np.empty(0, np.int64), np.empty(0)
    moves = np.log(close[1:] / close[:-1])
    usual = float(np.median(np.abs(moves)))
    return np.flatnonzero(np.abs(moves) > max(JUMP_LEAST, JUMP_TIMES * usual)), np.expm1(moves)


def _longest_run(flags: NDArray[np.bool_]) -> int:
    import numpy as np

    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))
