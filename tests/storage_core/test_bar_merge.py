"""History is never shortened and never changed in silence; what contradicts it is shown."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage_core.bar_errors import BarConflicts
from storage_core.bar_fingerprints import fingerprint_now
from storage_core.bar_merge import merged, plan
from storage_core.bar_store import BarStore
from storage_core.bar_table import BarTable, fingerprint
from storage_core.errors import NoBars
from tests.storage_core.test_bar_store import START, bars, hour


@pytest.fixture
def store(tmp_path):
    return BarStore(tmp_path / "bars")


def changed(given, row, **values):
    columns = {name: np.array(column) for name, column in given.items()}
    for name, value in values.items():
        columns[name][row] = value
    return columns


def test_other_values_are_refused_and_shown(store):
    store.merge("KRW-BTC", "1h", bars(50))
    before = store.path("KRW-BTC", "1h").read_bytes()
    new = changed(bars(50), 7, close=101.5)
    with pytest.raises(BarConflicts, match=r"1 bars of KRW-BTC 1h differ .* first at 2024-01-01 07:00 UTC") as caught:
        store.merge("KRW-BTC", "1h", new)
    (example,) = caught.value.plan.examples
    assert (example.at, example.new["close"]) == (hour(7), 101.5)
    assert example.stored["close"] == store.read("KRW-BTC", "1h").close[7]
    assert store.path("KRW-BTC", "1h").read_bytes() == before


@pytest.mark.parametrize(("wins", "close"), [("stored", 100.0), ("new", 101.5)])
def test_one_side_wins_when_told_and_what_is_new_is_added(store, wins, close):
    stored = changed(bars(50), 7, open=99.0, high=102.0, low=98.0, close=100.0)
    store.merge("KRW-BTC", "1h", stored)
    new = changed({name: column[:60] for name, column in bars(60).items()}, slice(0, 50), **{
        name: stored[name] for name in ("open", "high", "low", "close", "volume")
    })  # fmt: skip
    coverage = store.merge("KRW-BTC", "1h", changed(new, 7, close=101.5), wins=wins)
    read = store.read("KRW-BTC", "1h")
    assert (coverage.rows, read.close[7]) == (60, close)
    assert read.close[59] == new["close"][59]


def test_the_same_bars_again_change_not_a_byte(store):
    store.merge("KRW-BTC", "1h", bars(50))
    before = store.path("KRW-BTC", "1h").stat()
    rounded = {name: np.round(column, 12) for name, column in bars(50).items()} | {"timestamp": bars(50)["timestamp"]}
    store.merge("KRW-BTC", "1h", rounded)
    after = store.path("KRW-BTC", "1h").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_plan_stores_nothing(store):
    found = store.plan("KRW-BTC", "1h", bars(50))
    assert (found.added, found.same, found.conflicts, found.rows) == (50, 0, 0, 50)
    assert store.inventory() == []
    store.merge("KRW-BTC", "1h", bars(50))
    found = store.plan("KRW-BTC", "1h", bars(60))
    assert (found.added, found.same + found.conflicts, found.rows) == (10, 50, 60)


def test_delete_removes_one_and_no_other(store):
    store.merge("KRW-BTC", "1h", bars(5))
    store.merge("KRW-BTC", "1d", bars(5))
    store.delete("KRW-BTC", "1h")
    assert [one.timeframe for one in store.inventory()] == ["1d"]
    with pytest.raises(NoBars, match="available: KRW-BTC 1d"):
        store.delete("KRW-BTC", "1h")


def test_the_fingerprint_now_follows_the_bars(store):
    store.merge("KRW-BTC", "1h", bars(50))
    whole = fingerprint(store.read("KRW-BTC", "1h"))
    assert fingerprint_now(store, "KRW-BTC", "1h", None, None) == whole
    assert store.coverage("KRW-BTC", "1h").fingerprint == whole
    first_day = fingerprint_now(store, "KRW-BTC", "1h", START, START + timedelta(days=1))
    assert first_day == fingerprint(store.read("KRW-BTC", "1h", START, START + timedelta(days=1)))
    newest = fingerprint_now(store, "KRW-BTC", "1h", None, None, newest=10)
    assert newest == fingerprint(store.read("KRW-BTC", "1h", hour(40)))
    store.merge("KRW-BTC", "1h", bars(5, first=50))
    assert fingerprint_now(store, "KRW-BTC", "1h", START, START + timedelta(days=1)) == first_day
    assert fingerprint_now(store, "KRW-BTC", "1h", None, None) != whole
    store.delete("KRW-BTC", "1h")
    with pytest.raises(NoBars):
        fingerprint_now(store, "KRW-BTC", "1h", START, START + timedelta(days=1))


def table(stamps, closes):
    prices = np.array(closes, float)
    return BarTable(np.array(stamps, np.int64), prices, prices + 1, prices - 0.5, prices, np.ones(len(stamps)))


sides = st.dictionaries(st.integers(0, 30), st.integers(1, 4), max_size=20)


@settings(max_examples=200, deadline=None)
@given(stored=sides.filter(len), new=sides, wins=st.sampled_from(["stored", "new"]))
def test_a_merge_is_the_union_with_the_winner_on_top(stored, new, wins):
    old, fresh = (table(sorted(side), [side[at] for at in sorted(side)]) for side in (stored, new))
    expected = {**stored, **new} if wins == "new" else {**new, **stored}
    found = merged(old, fresh, wins=wins)
    assert dict(zip(found.timestamp.tolist(), found.close.tolist(), strict=True)) == expected
    assert found.timestamp.tolist() == sorted(expected)
    what = plan(old, fresh)
    assert what.rows == len(found)
    assert what.added == len(new.keys() - stored.keys())
    assert what.conflicts == sum(stored[at] != new[at] for at in stored.keys() & new.keys())
    assert what.added + what.same + what.conflicts == len(new)
