"""Bars on disk: exact, ranged, merged, named when damaged, and never outside their folder."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage_core import bar_files, sample
from storage_core.bar_store import TIMEFRAMES, BarStore
from storage_core.bar_table import BarTable, fingerprint
from storage_core.errors import BadBars, BadSymbol, BadTimeframe, BarsDamaged, NoBars
from tests.storage_core.at_once import together

SHARED_BARS = Path(__file__).parents[2].parent / "shared" / "data" / "candles"
HOUR = 3_600_000_000
START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> BarStore:
    return BarStore(tmp_path / "bars")


def bars(count: int, *, first: int = 0, price: float = 100.0) -> dict[str, Any]:
    random = np.random.default_rng(count + first)
    opened = price + random.random(count)
    return {
        "timestamp": int(START.timestamp()) * 1_000_000 + (first + np.arange(count)) * HOUR,
        "open": opened,
        "high": opened + 2,
        "low": opened - 2,
        "close": opened + 1,
        "volume": random.random(count),
    }


def hour(number: int) -> datetime:
    return START + timedelta(hours=number)


def test_what_is_merged_is_read_back_exactly(store: BarStore) -> None:
    given = bars(500)
    coverage = store.merge("KRW-BTC", "1h", given)
    assert (coverage.rows, coverage.first, coverage.last) == (500, START, hour(499))
    read = store.read("KRW-BTC", "1h")
    for name, column in given.items():
        assert getattr(read, name).tobytes() == column.tobytes()
    assert read.timestamp.dtype == np.int64
    assert store.inventory() == [coverage]


@pytest.mark.parametrize(
    ("start", "end", "rows"),
    [
        (None, None, 500),
        (hour(0), hour(500), 500),
        (hour(10), hour(12), 2),
        (hour(10), hour(10) + timedelta(microseconds=1), 1),
        (hour(10) + timedelta(microseconds=1), hour(12), 1),
        (None, hour(1), 1),
        (hour(499), None, 1),
        (hour(-10), hour(1000), 500),
    ],
)
def test_a_range_holds_its_start_and_not_its_end(
    store: BarStore, start: datetime | None, end: datetime | None, rows: int
) -> None:
    store.merge("KRW-BTC", "1h", bars(500))
    assert len(store.read("KRW-BTC", "1h", start, end)) == rows


def test_a_range_of_a_file_of_several_row_groups(store: BarStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage_core.bar_files.ROWS_PER_GROUP", 64)
    store.merge("KRW-BTC", "1h", bars(500))
    assert pq.read_metadata(store.path("KRW-BTC", "1h")).num_row_groups == 8
    whole = store.read("KRW-BTC", "1h")
    for first, last in ((0, 64), (63, 65), (64, 128), (100, 400), (499, 500)):
        part = store.read("KRW-BTC", "1h", hour(first), hour(last))
        assert fingerprint(part) == fingerprint(whole.between(part.timestamp[0], part.timestamp[-1] + 1))
        assert len(part) == last - first


def test_new_bars_replace_old_ones_when_told_that_they_win(store: BarStore) -> None:
    store.merge("KRW-BTC", "1h", bars(100))
    store.merge("KRW-BTC", "1h", bars(100, first=50, price=200.0), wins="new")
    store.merge("KRW-BTC", "1h", bars(10, first=-10, price=300.0))
    read = store.read("KRW-BTC", "1h")
    assert len(read) == 160
    assert np.all(np.diff(read.timestamp) == HOUR)
    assert [int(read.open[bar] // 100) for bar in (0, 9, 10, 59, 60, 159)] == [3, 3, 1, 1, 2, 2]


def test_two_merges_at_once_lose_nothing(store: BarStore) -> None:
    parts = [bars(20, first=20 * part) for part in range(8)]
    threads = [threading.Thread(target=store.merge, args=("KRW-BTC", "1h", part)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.read("KRW-BTC", "1h")) == 160


def test_the_fingerprint_is_of_the_values(store: BarStore) -> None:
    store.merge("KRW-BTC", "1h", bars(50))
    one = store.read("KRW-BTC", "1h")
    assert fingerprint(one) == fingerprint(store.read("KRW-BTC", "1h"))
    other = BarTable(**{**one.columns(), "volume": one.volume + np.eye(1, 50, 7)[0]})
    assert fingerprint(other) != fingerprint(one)
    assert fingerprint(one.between(0, 2**62)) == fingerprint(one)
    assert len(fingerprint(one)) == 64


@pytest.mark.parametrize(
    "symbol",
    ["../x", "KRW-BTC/..", "/etc-PASSWD", "krw-btc", "KRW-btc", "KRW_BTC", "KRW-BTC\n", "KRW-", "-BTC", "",
     "KRW-BTC\x00", "K" * 16 + "-BTC", "KRW-ВТС", "KRW-BTC_1h", "..-.."],
)  # fmt: skip
def test_hostile_symbols_never_become_a_path(store: BarStore, symbol: str) -> None:
    for act in (lambda: store.read(symbol, "1h"), lambda: store.merge(symbol, "1h", bars(2))):
        with pytest.raises(BadSymbol):
            act()
    assert list(store.root.iterdir()) == []


@pytest.mark.parametrize("timeframe", ["2h", "1H", "../1h", "1h/../..", ""])
def test_unknown_timeframes(store: BarStore, timeframe: str) -> None:
    with pytest.raises(BadTimeframe, match="1m, 5m, 15m, 1h, 4h, 1d"):
        store.read("KRW-BTC", timeframe)


def test_no_bars_says_what_there_is(store: BarStore) -> None:
    with pytest.raises(NoBars, match="no bars for KRW-BTC 1h; available: nothing yet"):
        store.read("KRW-BTC", "1h")
    store.merge("KRW-BTC", "1h", bars(48))
    store.merge("KRW-ETH", "4h", bars(2))
    with pytest.raises(NoBars, match=r"available: KRW-BTC 1h \(2024-01-01 to 2024-01-02\)$"):
        store.read("KRW-BTC", "1d")
    with pytest.raises(NoBars, match=r"available: KRW-BTC 1h \(2024-01-01 to 2024-01-02\)$"):
        store.read("KRW-BTC", "1h", hour(48))
    with pytest.raises(NoBars, match=r"available: KRW-ETH 4h \(2024-01-01 to 2024-01-01\)$"):
        store.read("KRW-XRP", "4h")


def _changed(**changes: Any) -> dict[str, Any]:
    return {**bars(5), **changes}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({name: column for name, column in bars(3).items() if name != "low"}, "columns are missing: low"),
        (_changed(volume=np.ones(4)), "different lengths"),
        (_changed(timestamp=np.array([1, 2, 2, 3, 4])), "row 2: timestamp is not later"),
        (_changed(timestamp=np.arange(5.0)), "not whole microseconds"),
        (_changed(close=np.array([101, 101, np.nan, 101, 101])), "row 2: a price is not a number above 0"),
        (_changed(low=np.array([99.0, 99, 99, 0, 99])), "row 3: a price is not a number above 0"),
        (_changed(volume=np.array([1, 1, 1, 1, -1.0])), "row 4: volume"),
        (_changed(high=np.full(5, 50.0)), "row 0: high is below"),
        (_changed(low=np.full(5, 150.0)), "row 0: low is above"),
        (_changed(open=["x"] * 5), "open is not a column of numbers"),
    ],
)
def test_impossible_bars_change_nothing(store: BarStore, given: dict[str, Any], said: str) -> None:
    store.merge("KRW-BTC", "1h", bars(5))
    before = store.path("KRW-BTC", "1h").read_bytes()
    with pytest.raises(BadBars, match=said):
        store.merge("KRW-BTC", "1h", given)
    assert store.path("KRW-BTC", "1h").read_bytes() == before


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "flipped"])
def test_damaged_bars_are_named(store: BarStore, damage: str) -> None:
    store.merge("KRW-BTC", "1h", bars(500))
    store.merge("KRW-ETH", "1h", bars(5))
    path = store.path("KRW-BTC", "1h")
    whole = bytearray(path.read_bytes())
    if damage == "flipped":
        whole[len(whole) // 3] ^= 0x10
    path.write_bytes({"truncated": whole[:-100], "empty": b"", "text": b"not parquet"}.get(damage, bytes(whole)))
    with pytest.raises(BarsDamaged, match=r"KRW-BTC_1h\.parquet"):
        store.read("KRW-BTC", "1h")
    with pytest.raises(BarsDamaged, match=r"KRW-BTC_1h\.parquet"):
        store.merge("KRW-BTC", "1h", bars(5))
    coverages, damaged = store.scan()
    assert "KRW-ETH" in {coverage.symbol for coverage in coverages}
    if damage != "flipped":  # the list reads only the end of each file
        assert [error.path for error in damaged] == [path]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pa.table({"timestamp": [1, 2], "open": [1.0, 2.0]}), "columns are missing"),
        (pa.table({"time": [1, 2]}), "columns are missing"),
        (pa.table({**bars(2), "timestamp": pa.array([1, 2], pa.timestamp("us"))}), "not a time with a time zone"),
        (pa.table({**bars(2), "timestamp": [1, 2]}), "not a time with a time zone"),
        (
            pa.table({**bars(2), "timestamp": pa.array([2, 1], pa.timestamp("us", tz="UTC"))}),
            "not strictly increasing",
        ),
        (
            pa.table({
                **bars(2),
                "timestamp": pa.array([1, 2], pa.timestamp("us", tz="UTC")),
                "close": pa.array([1.0, None]),
            }),
            "values are missing in: close",
        ),
    ],
)  # fmt: skip
def test_a_file_that_is_not_bars(store: BarStore, table: pa.Table, said: str) -> None:
    pq.write_table(table, store.path("KRW-BTC", "1h"))
    with pytest.raises(BarsDamaged, match=said):
        store.read("KRW-BTC", "1h")


def test_files_of_other_units_are_read(store: BarStore) -> None:
    """Bars that a person put there: milliseconds, whole numbers, other columns beside ours."""
    given = bars(3)
    stamps = pa.array(given["timestamp"] // 1000, pa.timestamp("ms", tz="Asia/Seoul"))
    pq.write_table(pa.table({"extra": ["a", "b", "c"], **given, "timestamp": stamps, "volume": [1, 2, 3]}),
                   store.path("KRW-BTC", "1h"))  # fmt: skip
    read = store.read("KRW-BTC", "1h")
    assert read.timestamp.tolist() == given["timestamp"].tolist()
    assert read.volume.tolist() == [1.0, 2.0, 3.0]
    assert store.inventory()[0].first == START


def test_the_inventory_follows_the_files(store: BarStore) -> None:
    store.merge("KRW-BTC", "1d", bars(2))
    store.merge("KRW-BTC", "1m", bars(2))
    (store.root / "notes.txt").touch()
    (store.root / "krw-btc_1h.parquet").touch()
    assert [one.timeframe for one in store.inventory()] == ["1m", "1d"]
    (store.root / "inventory.json").write_text("{ torn")
    assert len(store.inventory()) == 2
    store.merge("KRW-BTC", "1m", bars(9), wins="new")
    assert [one.rows for one in store.inventory()] == [9, 2]
    store.path("KRW-BTC", "1d").unlink()
    assert [one.timeframe for one in store.inventory()] == ["1m"]
    assert list(json.loads((store.root / "inventory.json").read_text())) == ["KRW-BTC_1m.parquet"]


def test_a_fresh_inventory_needs_no_parquet_reader(store: BarStore) -> None:
    store.merge("KRW-BTC", "1h", bars(2))
    store.inventory()
    program = (
        "import sys; from pathlib import Path; from storage_core.bar_store import BarStore\n"
        "print(len(BarStore(Path(sys.argv[1])).inventory()), 'pyarrow' in sys.modules)"
    )
    printed = subprocess.check_output([sys.executable, "-c", program, str(store.root)], text=True)
    assert printed.split() == ["1", "False"]


def test_the_sample_is_installed_once_and_overwrites_nothing(store: BarStore) -> None:
    store.merge("USD-BTC", "1d", bars(3))
    mine = store.path("USD-BTC", "1d").read_bytes()
    assert sorted(sample.install_sample(store)) == [
        "USD-BTC_1h.parquet", "USD-ETH_1d.parquet", "USD-LTC_1d.parquet",
    ]  # fmt: skip
    assert sample.install_sample(store) == []
    assert store.path("USD-BTC", "1d").read_bytes() == mine
    for entry in sample.provenance():
        if entry["file"] != "USD-BTC_1d.parquet":
            symbol, _, timeframe = entry["file"].removesuffix(".parquet").partition("_")
            read = store.read(symbol, timeframe)
            assert len(read) == entry["rows"]
            assert store.merge(symbol, timeframe, read).rows == entry["rows"], "every shipped bar is possible"


def test_a_sample_that_is_not_what_was_shipped(store: BarStore, tmp_path: Path) -> None:
    with pytest.raises(BarsDamaged, match="not the file that was shipped"):
        sample.install_sample(store, source=tmp_path)
    assert store.inventory() == []


@pytest.mark.skipif(not SHARED_BARS.is_dir(), reason="the real bars of ../shared are not here")
def test_real_bars(store: BarStore) -> None:
    for path in sorted(SHARED_BARS.glob("*.parquet")):
        symbol, _, timeframe = path.stem.partition("_")
        original = pq.read_table(path)
        store.path(symbol, timeframe).write_bytes(path.read_bytes())
        read = store.read(symbol, timeframe)
        assert len(read) == original.num_rows
        assert read.close.tobytes() == original["close"].to_numpy().tobytes()
        assert np.all(np.diff(read.timestamp) >= TIMEFRAMES[timeframe] * 1_000_000)
        before = fingerprint(read)
        store.merge(symbol, timeframe, read)
        assert fingerprint(store.read(symbol, timeframe)) == before


def test_bars_that_are_deleted_and_stored_again_meanwhile_are_whole_or_not_there(store: BarStore) -> None:
    """Nobody is told of damage, and who has just stored bars is not told that there are none."""

    def store_and_delete() -> None:
        for _ in range(40):
            assert store.merge("KRW-BTC", "1h", bars(10)).rows == 10
            store.delete("KRW-BTC", "1h")

    def read() -> None:
        for _ in range(120):
            with suppress(NoBars):
                assert len(store.read("KRW-BTC", "1h")) == 10
            with suppress(NoBars):
                assert store.coverage("KRW-BTC", "1h").rows == 10
            assert store.scan()[1] == []

    together(store_and_delete, read, read)


def test_bars_that_vanish_while_they_are_read_are_not_damaged(store: BarStore, monkeypatch: pytest.MonkeyPatch) -> None:
    read_bars, extent = bar_files.read_bars, bar_files.extent

    def deleted_first(read: Callable[..., Any]) -> Callable[..., Any]:
        def reading(path: Path, *args: int) -> Any:
            store.delete("KRW-BTC", "1h")
            return read(path, *args)

        return reading

    monkeypatch.setattr(bar_files, "read_bars", deleted_first(read_bars))
    monkeypatch.setattr(bar_files, "extent", deleted_first(extent))
    write_bars = partial(bar_files.write_bars, store.path("KRW-BTC", "1h"), BarTable(**bars(10)))
    write_bars()
    with pytest.raises(NoBars):
        store.read("KRW-BTC", "1h")
    write_bars()
    assert store.scan() == ([], [])
    write_bars()
    with pytest.raises(NoBars):
        store.coverage("KRW-BTC", "1h")


def test_what_a_killed_writer_left_goes_with_a_later_merge(store: BarStore) -> None:
    store.merge("KRW-BTC", "1h", bars(10))
    left, written_now = (store.root / f".KRW-BTC_1h.parquet.{name}" for name in ("killed", "another"))
    for path in (left, written_now):
        path.write_bytes(b"half")
    os.utime(left, (0, 0))
    store.merge("KRW-BTC", "1h", bars(10, first=10))
    assert not left.exists()
    assert written_now.exists()
