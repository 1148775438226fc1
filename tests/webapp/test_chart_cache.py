"""Columns kept for charts: the same bits, bounded, and never needed."""

import os

import numpy as np
import pytest

from webapp import chart_cache
from webapp.chart_cache import kept


def columns(count: int, start: float = 0.0):
    values = np.arange(count) + start
    return np.arange(count) * 60_000_000, {"one": values, "two": np.where(values % 3 == 0, np.nan, -values)}


@pytest.mark.parametrize("count", [0, 1, 1_000])
def test_what_is_kept_comes_back_in_every_bit(tmp_path, count):
    made = columns(count)
    first = kept(tmp_path, "abc", lambda: made)
    again = kept(tmp_path, "abc", lambda: 1 / 0)
    for times, found in (first, again):
        assert times.dtype == np.int64
        assert times.tolist() == made[0].tolist()
        assert list(found) == ["one", "two"]
        for name, values in found.items():
            assert values.tobytes() == made[1][name].tobytes()


@pytest.mark.parametrize("left", [0, 7, 128, 1_000])
def test_a_file_that_a_power_cut_left_short_is_made_again(tmp_path, left):
    made = columns(1_000)
    kept(tmp_path, "abc", lambda: made)
    (path,) = (tmp_path / "cache" / "charts").iterdir()
    os.truncate(path, left)
    for load in (lambda: made, lambda: 1 / 0):
        times, found = kept(tmp_path, "abc", load)
        assert times.tolist() == made[0].tolist()
        assert found["two"].tobytes() == made[1]["two"].tobytes()


def test_what_was_used_longest_ago_goes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(chart_cache, "LIMIT", 3 * 24_200)
    for number in range(3):
        kept(tmp_path, f"k{number}", lambda: columns(1_000))
        path = next((tmp_path / "cache" / "charts").glob(f"k{number}.*"))
        os.utime(path, (1_000 + number, 1_000 + number))
    kept(tmp_path, "k0", lambda: 1 / 0)  # used just now
    kept(tmp_path, "k3", lambda: columns(1_000))
    names = {path.name.partition(".")[0] for path in (tmp_path / "cache" / "charts").iterdir()}
    assert names == {"k0", "k2", "k3"}


def test_a_folder_that_cannot_be_written_makes_it_slower_not_impossible(tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    times, found = kept(tmp_path, "abc", lambda: columns(10))
    assert len(times) == 10
    assert set(found) == {"one", "two"}


def test_nothing_half_written_stays(tmp_path):
    def broken():
        raise RuntimeError("the result is damaged")

    with pytest.raises(RuntimeError):
        kept(tmp_path, "abc", broken)
    times, found = columns(5)
    with pytest.raises(ValueError, match="could not convert"):
        kept(tmp_path, "abc", lambda: (times, {**found, "two": np.array(["x"] * 5)}))
    assert list((tmp_path / "cache" / "charts").iterdir()) == []


def test_what_a_killed_process_left_goes_and_what_vanishes_disturbs_nobody(tmp_path):
    folder = tmp_path / "cache" / "charts"
    folder.mkdir(parents=True)
    (folder / "gone.one.npy").symlink_to(folder / "nowhere")
    for name in (".killed.new", ".written-now.new"):
        (folder / name).write_bytes(b"half")
    os.utime(folder / ".killed.new", (0, 0))
    kept(tmp_path, "k0", lambda: columns(10))
    kept(tmp_path, "k0", lambda: 1 / 0)
    assert {path.name for path in folder.iterdir()} == {"gone.one.npy", ".written-now.new", "k0.one-two.npy"}
