"""Fewer points, the same picture."""

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webapp import sampling
from webapp.curves import Curve, drawdown, monthly_returns, total
from webapp.localtime import from_chart, to_chart


@pytest.mark.parametrize("spike", [1, 777, 50_000, 99_998])
def test_extremes_of_every_column_survive(spike):
    random = np.random.default_rng(spike)
    columns = [np.cumsum(random.normal(size=100_000)) for _ in range(3)]
    columns[1][spike] = 1e6
    columns[2][-spike] = -1e6
    kept = sampling.shared_indices(columns)
    assert len(kept) <= sampling.POINTS
    assert len(kept) > sampling.POINTS / 2
    assert np.all(np.diff(kept) > 0)
    assert {0, 99_999, spike} <= set(kept.tolist())
    for column in columns:
        assert column[kept].max() == column.max()
        assert column[kept].min() == column.min()


def test_short_curves_are_left_alone():
    assert sampling.shared_indices([np.arange(10.0)]).tolist() == list(range(10))


def test_candles_join_bars():
    seconds = np.array([0, 60, 120, 300, 360])
    column = np.array([1.0, 2, 3, 4, 5])
    bars = {"open": column, "high": column + 10, "low": column - 10, "close": column + 1, "volume": column}
    made = sampling.candles(bars, seconds, 300)
    assert {name: values.tolist() for name, values in made.items()} == {
        "time": [0, 300], "start": [0, 3], "end": [2, 4],
        "open": [1, 4], "high": [13, 15], "low": [-9, -6], "close": [4, 6], "volume": [6, 9],
    }  # fmt: skip


@settings(deadline=None)
@given(st.sampled_from([60, 300, 900, 3600, 14_400, 86_400]), st.integers(0, 10**10))
def test_candles_are_whole_bars_and_never_too_many(bar, span):
    size = sampling.bucket_seconds(bar, span)
    assert size % bar == 0
    assert span / size <= sampling.CANDLES
    assert size == bar or span / bar > sampling.CANDLES


def test_short_numbers_keep_seven_digits():
    assert sampling.short(np.array([14_187_215.337, 1.0])) == [14_187_215.0, 1.0]
    assert sampling.short(np.array([0.12345678901])) == [0.1234568]
    assert sampling.short(np.array([0.0, 0.0])) == [0.0, 0.0]
    assert sampling.short(np.empty(0)) == []


def test_curves_of_several_symbols_are_summed_over_all_times():
    first = Curve(np.array([10, 20, 30]), np.array([1.0, 2.0, 3.0]))
    second = Curve(np.array([20, 40]), np.array([7.0, 8.0]))
    summed = total([first, second], 5.0)
    assert summed.timestamp.tolist() == [10, 20, 30, 40]
    assert summed.value.tolist() == [6.0, 9.0, 10.0, 11.0]


def test_drawdown_starts_from_the_cash():
    assert drawdown(np.array([90.0, 120.0, 60.0]), 100.0).tolist() == pytest.approx([-10.0, 0.0, -50.0])


def test_months_are_those_of_the_persons_calendar():
    instants = [
        datetime(2024, 1, 31, 14, tzinfo=UTC),
        datetime(2024, 1, 31, 16, tzinfo=UTC),
        datetime(2024, 3, 1, tzinfo=UTC),
    ]
    curve = Curve(np.array([int(one.timestamp()) * 1_000_000 for one in instants]), np.array([110.0, 121.0, 60.5]))
    assert monthly_returns(curve, 100.0, "UTC") == [(2024, 1, pytest.approx(21.0)), (2024, 3, pytest.approx(-50.0))]
    seoul = monthly_returns(curve, 100.0, "Asia/Seoul")
    assert seoul == [(2024, 1, pytest.approx(10.0)), (2024, 2, pytest.approx(10.0)), (2024, 3, pytest.approx(-50.0))]
    december = Curve(np.array([int(datetime(2023, 12, 31, tzinfo=UTC).timestamp()) * 1_000_000]), np.array([90.0]))
    assert monthly_returns(december, 100.0, "UTC") == [(2023, 12, pytest.approx(-10.0))]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Seoul", "America/New_York", "Australia/Lord_Howe"])
def test_chart_times_read_as_the_wall_clock_and_never_go_back(zone):
    start = int(datetime(2024, 11, 2, tzinfo=UTC).timestamp())
    seconds = list(range(start, start + 3 * 86_400, 1800))
    shifted = to_chart(seconds, zone)
    assert all(later > earlier for earlier, later in pairwise(shifted))
    wall = datetime.fromtimestamp(seconds[0], ZoneInfo(zone)).replace(tzinfo=UTC)
    assert shifted[0] == wall.timestamp()
    assert from_chart(shifted[0], zone).timestamp() == seconds[0]
