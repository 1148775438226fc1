"""Files that people send: read in many spellings, refused with a sentence when they are hostile or wrong."""

import zipfile
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage_core import bar_upload_parquet
from storage_core.bar_names import COLUMNS
from storage_core.bar_store import BarStore
from storage_core.bar_upload import Reading, report
from storage_core.bar_upload_errors import BadUpload
from storage_core.bar_upload_sniff import guess_mapping, sniff

HEADER = "timestamp,open,high,low,close,volume"
START = datetime(2024, 1, 1, tzinfo=UTC)
SECOND = int(START.timestamp())


@pytest.fixture
def store(tmp_path):
    return BarStore(tmp_path / "bars")


@pytest.fixture
def send(tmp_path, store):
    """Sends text, bytes or a table; gives the report."""

    def sent(content, *, name="KRW-BTC_1h.csv", **changes):
        path = tmp_path / "sent.data"
        if isinstance(content, pa.Table):
            pq.write_table(content, path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        found = sniff(path, name)
        given = {"symbol": found.symbol, "timeframe": found.timeframe, "mapping": found.mapping}
        return report(store, path, found, Reading(**{**given, "decimal": found.decimal, **changes}))

    return sent


def lines(*times, header=HEADER, rest=",100,102,99,101,5"):
    return "\n".join([header, *(f"{time}{rest}" for time in times)]) + "\n"


def opened(found):
    return [(int(at) // 1_000_000 - SECOND) / 3600 for at in found.checked.bars.timestamp]


@pytest.mark.parametrize(
    "times",
    [
        ("2024-01-01 00:00:00", "2024-01-01 01:00:00"),
        ("2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z"),
        ("2024-01-01T09:00:00+09:00", "2024-01-01T10:00:00+09:00"),
        ("2024-01-01T00:00:00+00:00", "2024-01-01T02:00:00+01:00"),
        ("2024/01/01 00:00", "2024/1/1 01:00"),
        ("2024.01.01 00:00", "2024.01.01 01:00"),
        (SECOND, SECOND + 3600),
        (f"{SECOND}.0", f"{SECOND + 3600}.0"),
        (SECOND * 1000, (SECOND + 3600) * 1000),
        (SECOND * 10**6, (SECOND + 3600) * 10**6),
        (SECOND * 10**9, (SECOND + 3600) * 10**9),
    ],
)
def test_times_in_many_spellings(send, times):
    assert opened(send(lines(*times))) == [0, 1]


@pytest.mark.parametrize("days", [("2024-01-01", "2024-01-02"), ("20240101", "20240102"), ("2024/1/1", "2024/1/2")])
def test_days(send, days):
    assert opened(send(lines(*days), timeframe="1d")) == [0, 24]


def test_times_without_a_zone_are_of_the_zone_that_was_chosen(send):
    assert opened(send(lines("2024-01-01 09:00", "2024-01-01 10:00"), zone="Asia/Seoul")) == [0, 1]
    assert opened(send(lines("2024-01-01T09:00:00Z"), zone="Asia/Seoul")) == [9]


def test_semicolons_decimal_commas_and_a_byte_order_mark(send):
    text = "\ufeffDate;Open;High;Low;Close;Volume\n2024-01-01 00:00;1.100,5;1.102,0;1.099,0;1.101,25;5,5\n"
    found = send(text)
    assert [float(getattr(found.checked.bars, name)[0]) for name in COLUMNS[1:]] == [1100.5, 1102, 1099, 1101.25, 5.5]


def test_a_dump_of_binance_without_a_first_line(send):
    row = f"{SECOND * 1000},100.0,102.0,99.0,101.0,5.0,{SECOND * 1000 + 1},9.9,3,1.0,1.0,0"
    found = send(f"{row}\n", name="BTCUSDT-1h-2024-01.csv")
    assert opened(found) == [0]
    assert found.checked.bars.close[0] == 101


@pytest.mark.parametrize(
    ("name", "symbol", "timeframe"),
    [
        ("KRW-BTC_1h.csv", "KRW-BTC", "1h"),
        ("BTCUSDT-15m-2024-01.csv", "USDT-BTC", "15m"),
        ("upbit krw-eth 1d.parquet", "KRW-ETH", "1d"),
        ("prices.csv", "", ""),
        ("ETHBTC_4h.csv", "BTC-ETH", "4h"),
    ],
)
def test_the_name_of_the_file_tells(tmp_path, name, symbol, timeframe):
    (tmp_path / "x").write_text(lines("2024-01-01"))
    found = sniff(tmp_path / "x", name)
    assert (found.symbol, found.timeframe) == (symbol, timeframe)


def test_columns_are_guessed_by_many_names():
    upbit = ["market", "candle_date_time_utc", "opening_price", "high_price", "low_price", "trade_price",
             "candle_acc_trade_volume"]  # fmt: skip
    assert [guess_mapping(upbit)[name] for name in COLUMNS] == upbit[1:]
    assert guess_mapping(["Date", "Open", "High", "Low", "Close", "Volume BTC"])["volume"] == "Volume BTC"
    assert "close" not in guess_mapping(["time", "o", "h", "l", "price"])


@pytest.mark.parametrize(
    "stamps",
    [
        pa.array([SECOND, SECOND + 3600], pa.timestamp("s")),
        pa.array([SECOND * 1000, (SECOND + 3600) * 1000], pa.timestamp("ms", tz="Asia/Seoul")),
        pa.array([SECOND * 1000, (SECOND + 3600) * 1000], pa.int64()),
        pa.array(["2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z"]).dictionary_encode(),
    ],
)
def test_parquet(send, stamps):
    table = pa.table({"time": stamps, "o": [1, 2], "h": [3, 4], "l": [1.0, 2.0], "c": ["1.5", "2.5"], "v": [0, 1],
                      "nested": [[1], [2]]})  # fmt: skip
    found = send(table, name="KRW-BTC_1h.parquet")
    assert opened(found) == [0, 1]
    assert found.checked.bars.close.tolist() == [1.5, 2.5]


GZIP = b"\x1f\x8b\x08\x00"


def zipped(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.csv", b"0" * 1_000_000)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (GZIP + b"x" * 50, "packed with gzip"),
        ("zip", "a zip archive"),
        (b"PAR1 and nothing of it", "Parquet file cannot be read"),
        (b"\xff\xfet\x00i\x00", "UTF-16"),
        (b"time,open\n2024-01-01,\xe9\xe8 caf\xe9,1,2,3\n", "not UTF-8 text"),
        (b"time,open\n\x00\x01\x02,1\n", "zero bytes"),
        (b"\n\n \n", "no lines"),
        (b"hello world\nno table here\n", "not a table"),
        (lines(), "a first line and no rows"),
        (",".join(f"c{n}" for n in range(300)) + "\n" + ",".join("1" * 300), "300 columns"),
        (b"%PDF-1.7 ...", "a PDF"),
    ],
)
def test_files_that_are_something_else(send, tmp_path, content, said):
    with pytest.raises(BadUpload, match=said):
        send(zipped(tmp_path / "x.zip") if content == "zip" else content)


def test_a_parquet_bomb_is_not_unpacked(send, monkeypatch):
    table = pa.table({name: np.zeros(200_000) for name in ("time", "open", "high", "low", "close", "volume")})
    monkeypatch.setattr(bar_upload_parquet, "MOST_ROWS", 100_000)
    with pytest.raises(BadUpload, match="200,000 rows; at most 100,000"):
        send(table)
    monkeypatch.setattr(bar_upload_parquet, "MOST_ROWS", 10**7)
    monkeypatch.setattr(bar_upload_parquet, "LARGEST_UNPACKED", 1000)
    with pytest.raises(BadUpload, match="unpacked, the file would have"):
        send(table)
    with pytest.raises(BadUpload, match="no rows"):
        send(table.slice(0, 0))


def test_rows_that_cannot_be_bars_are_named_and_stop_it_until_left_out(send):
    text = lines("2024-01-01 00:00") + "\n".join(
        [
            "2024-01-01 01:00,abc,102,99,101,5",
            "soon,100,102,99,101,5",
            "2024-01-01 02:00,100,102,99,101,-5",
            "2024-01-01 03:00,100,102,100.5,101,5",
            "2024-01-01 04:00,100,100.5,99,101,5",
            "2024-01-01 05:00,nan,102,99,101,5",
            "2024-01-01 06:00,0,102,99,101,5",
            "2999-01-01 00:00,100,102,99,101,5",
            "2024-01-01 00:00,100,102,99,101.5,5",
            "2024-01-01 00:00,100,102,99,101,5",
            "too,few",
        ]
    )
    found = send(text)
    assert (found.checked.bad_count, found.checked.rows, found.checked.repeated) == (10, 12, 1)
    assert dict(found.checked.bad)[2] == "a price is not a number above 0"
    assert [reason.split()[1] for _, reason in found.checked.bad] == [
        "price", "time", "volume", "low", "high", "price", "price", "time", "row",
    ]  # fmt: skip
    assert found.problems
    assert "10 rows cannot be bars" in found.problems[0]
    assert send(text, leave_out=True).problems == ()


def test_one_word_among_seconds_spoils_one_row(send):
    found = send(lines(SECOND, "soon", SECOND + 3600), leave_out=True)
    assert (opened(found), found.checked.bad) == ([0, 1], ((2, "the time cannot be read"),))


def test_unsorted_and_repeated_rows_are_put_right_and_told(send):
    found = send(lines("2024-01-01 02:00", "2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 00:00"))
    assert opened(found) == [0, 1, 2]
    assert (found.checked.repeated, found.checked.sorted_, found.checked.bad_count) == (1, False, 0)


def test_a_timeframe_that_is_too_long_for_the_bars(send):
    found = send(lines("2024-01-01 00:00", "2024-01-01 00:05"))
    assert found.problems == ("some bars are only 5 minutes apart, too close for 1h: choose another timeframe",)


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"symbol": "btc"}, "symbol", "KRW-BTC"),
        ({"timeframe": "2h"}, "timeframe", "1m, 5m"),
        ({"zone": "Mars/Base"}, "zone", "Asia/Seoul"),
        ({"mapping": {"timestamp": "timestamp"}}, "open", "choose the column of: open, high"),
        ({"mapping": dict.fromkeys(COLUMNS, "open")}, "timestamp", "chosen twice"),
        ({"mapping": dict(zip(COLUMNS, ["open", "timestamp", "high", "low", "close", "volume"], strict=True))}, "file",
         "are the columns the right ones"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_form_is_said_beside_its_field(send, changes, field, said):
    with pytest.raises(BadUpload, match=said) as caught:
        send(lines("2024-01-01 00:00"), **changes)
    assert caught.value.field == field


def test_the_report_compares_with_what_is_stored(send, store):
    store.merge("KRW-BTC", "1h", send(lines("2024-01-01 00:00", "2024-01-01 01:00")).checked.bars)
    found = send(
        lines("2024-01-01 01:00", "2024-01-01 02:00", "2024-01-01 05:00") + "2024-01-01 00:00,100,109,99,101,5\n"
    )
    assert (found.plan.added, found.plan.same, found.plan.conflicts, found.plan.rows) == (2, 1, 1, 4)
    assert found.plan.examples[0].new["high"] == 109
    assert (found.quality.missing_bars, found.first) == (2, START)
    assert len(store.read("KRW-BTC", "1h")) == 2
