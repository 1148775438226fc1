"""What is said about bars: holes, silence, jumps, and one word."""

import json

import numpy as np
import pytest

from storage_core.bar_quality import Quality, quality_of
from storage_core.bar_store import BarStore
from storage_core.bar_table import BarTable
from tests.storage_core.test_bar_store import HOUR, bars


def hours(count=1000, *, without=(), **columns):
    made = bars(count)
    made["timestamp"] = made["timestamp"] // HOUR * HOUR
    kept = np.setdiff1d(np.arange(count), list(without))
    return BarTable(**{name: column[kept] for name, column in {**made, **columns}.items()})


def test_whole_bars_are_good():
    found = quality_of(hours(), 3600)
    assert (found.rows, found.missing_bars, found.gaps, found.jump_count, found.word) == (1000, 0, 0, 0, "good")
    assert found.largest_gaps == found.jumps == ()


def test_holes_are_counted_and_the_largest_named():
    bars_ = hours(without=[10, 20, 21, 22, *range(500, 520)])
    found = quality_of(bars_, 3600)
    assert (found.missing_bars, found.gaps, found.largest_gap_seconds) == (24, 3, 20 * 3600)
    before, after, missing = found.largest_gaps[-1]
    assert (after - before, missing) == (21 * HOUR, 20)
    assert found.word == "poor"
    assert quality_of(hours(without=[10, 20]), 3600).word == "fair"


def test_many_holes_are_named_by_size_and_listed_by_time():
    found = quality_of(hours(without=range(1, 999, 2)), 3600)
    assert found.gaps == 499
    assert len(found.largest_gaps) == 40
    assert list(found.largest_gaps) == sorted(found.largest_gaps)


def test_silence_and_its_longest_run():
    volume = np.ones(1000)
    volume[[3, 4, 5, 100, 101]] = 0
    found = quality_of(hours(volume=volume), 3600)
    assert (found.zero_volume_bars, found.longest_silence, found.word) == (5, 3, "good")
    assert quality_of(hours(volume=np.zeros(1000)), 3600).word == "poor"


def test_a_price_ten_times_as_high_for_one_bar_is_two_jumps():
    columns = {name: column.copy() for name, column in bars(1000).items() if name != "timestamp"}
    for name in ("open", "high", "low", "close"):
        columns[name][400] *= 10
    found = quality_of(hours(**columns), 3600)
    assert found.jump_count == 2
    assert found.jumps[0][2] == pytest.approx(9, rel=0.05)
    assert found.word == "fair"


def test_bars_off_the_grid():
    made = hours()
    shifted = BarTable(made.timestamp + 60_000_000, made.open, made.high, made.low, made.close, made.volume)
    found = quality_of(shifted, 3600)
    assert (found.off_grid_bars, found.missing_bars, found.word) == (1000, 0, "poor")


@pytest.mark.parametrize("count", [1, 2])
def test_few_bars(count):
    assert quality_of(hours(count), 3600).missing_bars == 0


def test_it_survives_json_and_is_kept_with_the_coverage(tmp_path):
    found = quality_of(hours(without=[10, 20, 21]), 3600)
    assert Quality.from_dict(json.loads(json.dumps(found.as_dict()))) == found
    store = BarStore(tmp_path)
    store.merge("KRW-BTC", "1h", hours(without=[10, 20, 21]))
    assert store.inventory()[0].quality == found


def test_a_file_that_a_person_put_there_is_looked_at_once_when_asked(tmp_path):
    elsewhere, store = BarStore(tmp_path / "one"), BarStore(tmp_path / "two")
    elsewhere.merge("KRW-BTC", "1h", hours(without=[10]))
    store.path("KRW-BTC", "1h").write_bytes(elsewhere.path("KRW-BTC", "1h").read_bytes())
    assert store.inventory()[0].quality is None
    asked = store.coverage("KRW-BTC", "1h")
    assert asked.quality.missing_bars == 1
    assert store.inventory() == [asked]
    assert store.inventory()[0].quality == asked.quality
