"""Real answers of Upbit and Binance, recorded by others: what the clients make of them is exactly what stands there."""

import hashlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from storage_core.bar_store import TIMEFRAMES
from tests.exchange_recordings import FOLDER, of_binance, of_upbit, recording
from tests.exchange_server import START, answer, binance, replayed, upbit
from workers.exchanges.binance import Binance
from workers.exchanges.client import Pace
from workers.exchanges.errors import ExchangeBusy, ExchangeRefused, UnknownMarket
from workers.exchanges.upbit import Upbit

UPBIT = [
    ("upbit_days.http", "days", "1d", "KRW-BTC"),
    ("upbit_minutes_1.http", "minutes/1", "1m", "KRW-BTC"),
    ("upbit_minutes_1_2020.http", "minutes/1", "1m", "KRW-BTC"),
    ("upbit_minutes_60.http", "minutes/60", "1h", "USDT-BTC"),
]
BINANCE = ["binance_klines_1m.http", "binance_klines_1m_2021.http"]


@pytest.fixture
def upbit_client(server, pauses):
    made = Upbit(server.url, pauses.append, pace=Pace(10_000.0), first_pause=0.001)
    yield made
    made.close()


@pytest.fixture
def binance_client(server, pauses):
    made = Binance(server.url, pauses.append, pace=Pace(10_000.0), first_pause=0.001)
    yield made
    made.close()


def bars(page):
    """The same of a page. A float is the number that was sent when its shortest decimal is."""
    rows = zip(page.timestamp.tolist(), page.values.tolist(), strict=True)
    return [(at, *(Decimal(repr(value)) for value in values)) for at, values in rows]


def span(rows, timeframe):
    first, last = (datetime.fromtimestamp(rows[i][0] / 1_000_000, UTC) for i in (0, -1))
    return {"start": first, "end": last + timedelta(seconds=TIMEFRAMES[timeframe])}


@pytest.mark.parametrize(("name", "unit", "timeframe", "symbol"), UPBIT)
def test_upbits_candles(server, upbit_client, name, unit, timeframe, symbol):
    server.record(f"/v1/candles/{unit}", name)
    expected = of_upbit(name)
    page = upbit_client.page(symbol, timeframe, **span(expected, timeframe))
    assert bars(page) == expected
    assert page.next is None


def test_what_upbit_is_asked_for(server, upbit_client):
    server.record("/v1/candles/days", "upbit_days.http")
    upbit_client.page("KRW-BTC", "1d", **span(of_upbit("upbit_days.http"), "1d"))
    assert server.requests == ["/v1/candles/days?market=KRW-BTC&count=200&to=2025-07-30T00%3A00%3A00Z"]


@pytest.mark.parametrize("name", BINANCE)
def test_binances_candles(server, binance_client, name):
    server.record("/api/v3/klines", name)
    expected = of_binance(name)
    within = span(expected, "1m")
    page = binance_client.page("USDT-BTC", "1m", **within)
    assert bars(page) == expected
    assert page.next is None
    low, high = (int(within[side].timestamp()) * 1000 for side in ("start", "end"))
    assert server.requests == [
        f"/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime={low}&endTime={high - 1}&limit=1000"
    ]


def test_a_candle_that_was_open_when_it_was_recorded_is_no_bar_yet(server, upbit_client, binance_client):
    """The last trade in the newest candle of Upbit was 52.759 s after its opening; Binance's had seven trades."""
    server.record("/v1/candles/minutes/1", "upbit_minutes_1.http", Date="Mon, 30 Oct 2023 12:32:53 GMT")
    expected = of_upbit("upbit_minutes_1.http")
    assert bars(upbit_client.page("KRW-BTC", "1m", **span(expected, "1m"))) == expected[:-1]
    server.record("/api/v3/klines", "binance_klines_1m_2021.http", Date="Fri, 22 Oct 2021 23:12:05 GMT")
    expected = of_binance("binance_klines_1m_2021.http")
    assert bars(binance_client.page("USDT-BTC", "1m", **span(expected, "1m"))) == expected[:-1]


def test_upbits_first_month(server, upbit_client):
    server.record("/v1/candles/months", "upbit_months.http")
    assert upbit_client.first("KRW-BTC", "1d") == datetime(2021, 1, 1, tzinfo=UTC)
    dated_later = recording("upbit_months.http").body.replace(b"2021-01-01T00:00:00", b"2021-01-08T00:00:00")
    server.behaviours = [answer(200, dated_later)]
    assert upbit_client.first("KRW-BTC", "1d") == datetime(2021, 1, 1, tzinfo=UTC)


def test_binances_first_bar(server, binance_client):
    server.record("/api/v3/klines", "binance_klines_1m.http")
    assert binance_client.first("USDT-BTC", "1m") == datetime(2022, 1, 11, 12, 45, tzinfo=UTC)


def test_markets(server, upbit_client, binance_client):
    server.record("/v1/market/all", "upbit_markets.http")
    assert list(upbit_client.symbols()) == ["BTC-BAT", "BTC-BERA", "BTC-FIL", "BTC-SIGN", "BTC-VIRTUAL"]
    server.record("/api/v3/exchangeInfo", "binance_exchange_info.http")
    assert list(binance_client.symbols()) == ["USDT-BTC", "USDT-ETH"]


def test_an_unknown_market_names_those_near_to_it(server, upbit_client, binance_client):
    server.record("/v1/candles/minutes/60", "upbit_not_found.http")
    server.record("/v1/market/all", "upbit_markets_2021.http")
    within = {"start": START, "end": START + timedelta(hours=6)}
    with pytest.raises(UnknownMarket, match="no market KRW-DOGX; near to it: KRW-DOGE"):
        upbit_client.page("KRW-DOGX", "1h", **within)
    server.record("/api/v3/klines", "binance_bad_symbol.http")
    server.record("/api/v3/exchangeInfo", "binance_exchange_info.http")
    with pytest.raises(UnknownMarket, match="no market USDT-BTX; near to it: USDT-BTC"):
        binance_client.page("USDT-BTX", "1h", **within)


def test_a_no_of_binance_is_said_in_its_words(server, binance_client):
    server.record("/api/v3/klines", "binance_bad_parameter.http")
    with pytest.raises(ExchangeRefused, match=r"it answered 400: Not all sent parameters were read; read '2'"):
        binance_client.first("USDT-BTC", "1h")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("name", "headers", "wait"),
    [
        ("binance_too_many.http", {}, 1),
        ("binance_banned.http", {}, 60),
        ("binance_banned.http", {"Retry_After": "437"}, 437),
        ("binance_banned.http", {"Retry_After": "720"}, 720),
    ],
)
def test_binance_gets_the_patience_it_asked_for(noon, server, binance_client, pauses, name, headers, wait):
    server.record("/api/v3/klines", "binance_klines_1m.http")
    server.behaviours = [replayed(name, **headers)]
    assert binance_client.first("USDT-BTC", "1m") is not None
    assert len(server.requests) == 2
    assert max(pauses) == wait


def test_upbit_gets_the_patience_it_asked_for(noon, server, upbit_client, pauses):
    server.record("/v1/candles/months", "upbit_months.http")
    server.behaviours = [replayed("upbit_too_many.http")]
    assert upbit_client.first("KRW-BTC", "1d") is not None
    assert max(pauses) == 1
    server.behaviours = [replayed("upbit_too_many.http", Retry_After="86400")]
    with pytest.raises(ExchangeBusy):
        upbit_client.first("KRW-BTC", "1d")


def test_the_recorded_remaining_req_lets_the_next_request_go_and_with_nothing_left_holds_it(
    noon, server, upbit_client, pauses
):
    left = recording("upbit_days.http").headers["remaining-req"]
    assert left == "group=candles; min=600; sec=9"
    within = span(of_upbit("upbit_days.http"), "1d")
    server.behaviours = [replayed("upbit_days.http"), replayed("upbit_days.http", remaining_req=left[:-1] + "0")]
    upbit_client.page("KRW-BTC", "1d", **within)
    upbit_client.page("KRW-BTC", "1d", **within)
    assert max(pauses, default=0.0) < 0.5
    server.record("/v1/candles/days", "upbit_days.http")
    upbit_client.page("KRW-BTC", "1d", **within)
    assert max(pauses) == 1


def test_the_recorded_weight_lets_the_next_request_go_and_a_used_up_one_holds_it(noon, server, binance_client, pauses):
    used = recording("binance_klines_1m.http").headers["x-mbx-used-weight-1m"]
    assert used == "22"
    server.record("/api/v3/klines", "binance_klines_1m.http")
    server.behaviours = [None, replayed("binance_klines_1m.http", x_mbx_used_weight_1m="4800")]
    binance_client.first("USDT-BTC", "1m")
    binance_client.first("USDT-BTC", "1m")
    assert max(pauses, default=0.0) < 0.5
    binance_client.first("USDT-BTC", "1m")
    assert max(pauses) == 10  # it answered at 50 seconds past the minute


def test_what_can_be_proved_to_be_verbatim_is():
    days = recording("upbit_days.http")
    assert len(days.body) == int(days.headers["content-length"])
    assert days.headers["etag"] == f'W/"0{hashlib.md5(days.body, usedforsecurity=False).hexdigest()}"'
    refusal = recording("binance_bad_parameter.http")
    assert len(refusal.body) == int(refusal.headers["Content-Length"])


@pytest.mark.parametrize("name", [name for name, *_ in UPBIT])
def test_upbits_recordings_agree_with_themselves(name):
    """A digit changed in copying would most likely show: means lie between low and high, and KST is nine hours on."""
    for candle in recording(name).json():
        mean = Decimal(candle["candle_acc_trade_price"]) / Decimal(candle["candle_acc_trade_volume"])
        assert Decimal(candle["low_price"]) <= mean <= Decimal(candle["high_price"])
        utc, kst = (datetime.fromisoformat(candle[f"candle_date_time_{zone}"]) for zone in ("utc", "kst"))
        assert kst - utc == timedelta(hours=9)
        last_trade = datetime.fromtimestamp(int(candle["timestamp"]) / 1000, UTC).replace(tzinfo=None)
        assert utc <= last_trade < utc + timedelta(days=1)


@pytest.mark.parametrize("name", BINANCE)
def test_binances_recordings_agree_with_themselves(name):
    for at, _, high, low, _, volume, closed, quote, _, taker_volume, taker_quote, _ in recording(name).json():
        assert closed == at + 59_999
        assert Decimal(low) <= Decimal(quote) / Decimal(volume) <= Decimal(high)
        assert Decimal(low) <= Decimal(taker_quote) / Decimal(taker_volume) <= Decimal(high)


def test_the_answers_that_tests_make_up_look_like_the_recorded_ones():
    real = recording("upbit_minutes_1.http").json()[0]
    assert list(upbit(START, 0)) == [name for name in real if name in upbit(START, 0)]
    for name in BINANCE:
        assert [type(value) for value in binance(0)] == [type(value) for value in recording(name).json()[0]]


def test_the_readme_names_every_file():
    rows = [line.split("`")[1] for line in (FOLDER / "README.md").read_text().splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(path.name for path in FOLDER.glob("*.http"))
