"""Holes in the bars, by hand."""

import numpy as np

from workers.data_quality import Gaps, find_gaps

HOUR = 3_600_000_000


def stamps(*hours):
    return np.array(hours, dtype=np.int64) * HOUR


def test_no_hole():
    assert find_gaps(stamps(0, 1, 2, 3), 3600) == Gaps()
    assert find_gaps(stamps(5), 3600) == Gaps()


def test_the_largest_hole_is_named():
    gaps = find_gaps(stamps(0, 1, 3, 4, 8, 9), 3600)
    assert gaps == Gaps(missing_bars=4, largest_gap_seconds=3 * 3600, largest_gap_at=4 * HOUR)


def test_symbols_add_up_and_the_worst_stays():
    small, large = find_gaps(stamps(0, 2), 3600), find_gaps(stamps(0, 5), 3600)
    assert small.join(large) == large.join(small) == Gaps(5, 4 * 3600, 0)
    assert Gaps().join(small) == small
