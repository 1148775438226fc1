"""Clients of exchanges: on answers as they should be, and on a server that misbehaves."""

import sys
import types
from datetime import UTC, datetime, timedelta

import pytest

from tests.exchange_server import START, answer, binance, exchange_server, hang_up, say_nothing, truncate, upbit
from workers.exchanges import open_exchange
from workers.exchanges.binance import Binance
from workers.exchanges.client import Pace
from workers.exchanges.errors import (
    BadAnswer,
    ExchangeBusy,
    ExchangeError,
    ExchangeFailed,
    ExchangeRefused,
    ExchangeUnreachable,
    NotInstalled,
    UnknownMarket,
)
from workers.exchanges.upbit import Upbit

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def running():
    with exchange_server() as server:
        yield server


@pytest.fixture
def server(running):
    running.requests.clear()
    running.behaviours.clear()
    running.recorded.clear()
    running.hours = list(range(500))
    return running


@pytest.fixture
def pauses():
    return []


@pytest.fixture(params=[Upbit, Binance])
def exchange(request, server, pauses):
    made = request.param(server.url, pauses.append, pace=Pace(10_000.0), first_pause=0.001)
    yield made
    made.close()


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


def hours(exchange, first, last, symbol="KRW-BTC"):
    return exchange.page(symbol, "1h", start=START + first * HOUR, end=START + last * HOUR)


def opened(page):
    return [(int(at) // 1_000_000 - int(START.timestamp())) // 3600 for at in page.timestamp]


def test_upbits_hours(server, upbit_client):
    server.record("/v1/candles/minutes/60", "upbit_minutes_60.json")
    page = hours(upbit_client, 0, 6)
    assert opened(page) == [0, 1, 2, 4, 5]  # nobody traded at 03:00: a gap stays a gap
    assert page.values[0].tolist() == [57137000.0, 57450000.0, 57069000.0, 57421000.0, 121.55312008]
    assert page.next is None
    assert server.requests == ["/v1/candles/minutes/60?market=KRW-BTC&count=200&to=2024-01-01T06%3A00%3A00Z"]


def test_upbits_days_first_month_and_markets(server, upbit_client):
    server.record("/v1/candles/days", "upbit_days.json")
    server.record("/v1/candles/months", "upbit_months.json")
    server.record("/v1/market/all", "upbit_markets.json")
    page = upbit_client.page("KRW-BTC", "1d", start=START, end=START + timedelta(days=3))
    assert len(page.timestamp) == 3
    assert upbit_client.first("KRW-BTC", "1d") == datetime(2023, 12, 1, tzinfo=UTC)
    assert list(upbit_client.symbols()) == ["BTC-ETH", "KRW-BTC", "KRW-ETH", "USDT-BTC"]


def test_an_unknown_market_names_those_near_to_it(server, upbit_client, binance_client):
    server.record("/v1/candles/minutes/60", "upbit_not_found.json", 404)
    server.record("/v1/market/all", "upbit_markets.json")
    with pytest.raises(UnknownMarket, match="no market KRW-BTX; near to it: KRW-BTC"):
        hours(upbit_client, 0, 6, "KRW-BTX")
    server.record("/api/v3/klines", "binance_bad_symbol.json", 400)
    server.record("/api/v3/exchangeInfo", "binance_exchange_info.json")
    with pytest.raises(UnknownMarket, match="no market USDT-BTX; near to it: USDT-BTC"):
        hours(binance_client, 0, 6, "USDT-BTX")


def test_binances_hours(server, binance_client):
    server.record("/api/v3/klines", "binance_klines_1h.json")
    server.record("/api/v3/exchangeInfo", "binance_exchange_info.json")
    page = hours(binance_client, 0, 4, "USDT-BTC")
    assert opened(page) == [0, 1, 2, 3]
    assert page.values[0].tolist() == [42283.58, 42554.57, 42261.02, 42475.23, 1271.68108]
    assert server.requests[0] == (
        "/api/v3/klines?symbol=BTCUSDT&interval=1h&startTime=1704067200000&endTime=1704081599999&limit=1000"
    )
    assert binance_client.first("USDT-BTC", "1h") == START
    assert list(binance_client.symbols()) == ["USDT-BTC", "USDT-ETH"]


def test_pages_follow_one_another_to_the_end(exchange, server):
    server.hours = [hour for hour in range(2500) if not 700 <= hour < 760]
    at, found = START, []
    while at is not None:
        page = exchange.page("KRW-BTC", "1h", start=at, end=START + 2400 * HOUR)
        found += opened(page)
        at = page.next
    assert found == [hour for hour in server.hours if hour < 2400]


def test_only_closed_bars_come(exchange, server):
    now = datetime.now(UTC)
    this = int((now - START) / HOUR)
    server.hours = [this - 2, this - 1, this]
    page = exchange.page("KRW-BTC", "1h", start=START + (this - 2) * HOUR, end=now + HOUR)
    wanted = [this - 2, this - 1] if now.minute or now.second > 10 else [this - 2]
    assert opened(page)[: len(wanted)] == wanted
    assert this not in opened(page)
    assert page.next is None


def test_an_exchange_whose_clock_is_behind_decides_what_is_closed(binance_client, server):
    def say_another_time(handler):
        handler.date_time_string = lambda timestamp=None: _http(START + 1.5 * HOUR)
        return False

    server.behaviours = [say_another_time]
    assert opened(hours(binance_client, 0, 5)) == [0]


def _http(instant):
    return f"{instant:%a, %d %b %Y %H:%M:%S} GMT"


@pytest.mark.parametrize(
    "behaviour",
    [answer(500), answer(503, b"<html>"), answer(200, b'[{"market": "KRW'), answer(200, b""), hang_up, truncate],
    ids=["500", "503", "half", "empty", "hang up", "truncated"],
)
def test_what_passes_is_tried_again(exchange, server, pauses, behaviour):
    server.behaviours = [behaviour, behaviour]
    assert opened(hours(exchange, 0, 100)) == list(range(100))
    assert len(server.requests) == 3
    assert len([pause for pause in pauses if pause >= 0.001]) >= 2


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [(answer(502), ExchangeFailed), (hang_up, ExchangeUnreachable), (answer(200, b"[1, 2"), BadAnswer)],
)
def test_what_does_not_pass_is_said_after_five_tries(exchange, server, behaviour, error):
    server.behaviours = [behaviour] * 9
    with pytest.raises(error) as caught:
        hours(exchange, 0, 100)
    assert not caught.value.permanent
    assert len(server.requests) == 5


def test_an_exchange_that_never_answers_is_not_waited_for(exchange, server, monkeypatch):
    monkeypatch.setattr("workers.exchanges.client.READ_SECONDS", 0.2)
    server.behaviours = [say_nothing, say_nothing]
    assert opened(hours(exchange, 0, 100)) == list(range(100))
    server.behaviours = [say_nothing] * 5
    with pytest.raises(ExchangeUnreachable) as caught:
        hours(exchange, 0, 100)
    assert not caught.value.permanent


@pytest.mark.parametrize("status", [429, 418])
def test_an_exchange_that_asks_for_patience_gets_it(exchange, server, pauses, status):
    server.behaviours = [answer(status, b"{}", Retry_After="7")]
    assert opened(hours(exchange, 0, 10)) == list(range(10))
    assert 6 < max(pauses) <= 7


def test_too_much_patience_is_not_had(exchange, server):
    server.behaviours = [answer(418, b"{}", Retry_After="86400")]
    with pytest.raises(ExchangeBusy, match="86,400 seconds"):
        hours(exchange, 0, 10)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (answer(301, b"", Location="http://elsewhere.example/"), r"redirects \(301\) to http://elsewhere"),
        (answer(451, b"{}"), r"refuses to answer here \(451\)"),
        (answer(400, b"<html>"), "answered 400"),
    ],
)
def test_a_no_is_a_no(exchange, server, behaviour, said):
    server.behaviours = [behaviour]
    with pytest.raises(ExchangeRefused, match=said) as caught:
        hours(exchange, 0, 10)
    assert caught.value.permanent
    assert len(server.requests) == 1


def wrong(**changes):
    return answer(200, [upbit(START + HOUR, 1), {**upbit(START, 0), **changes}])


@pytest.mark.parametrize(
    "behaviour",
    [
        answer(200, {"not": "a list"}),
        answer(200, ["text", 3]),
        wrong(opening_price="dear"),
        wrong(opening_price=True),
        wrong(high_price=None),
        wrong(low_price=-1),
        wrong(candle_acc_trade_volume=-0.5),
        wrong(high_price=10.0),
        wrong(candle_date_time_utc="yesterday"),
        wrong(candle_date_time_utc=f"{START + HOUR:%Y-%m-%dT%H:%M:%S}", trade_price=1002.5),
        answer(200, b'[{"opening_price": NaN}]'),
    ],
)
def test_wrong_types_and_impossible_candles_never_become_bars(upbit_client, server, behaviour):
    server.behaviours = [behaviour] * 5
    with pytest.raises(BadAnswer):
        hours(upbit_client, 0, 10)


@pytest.mark.parametrize(
    "rows",
    [
        {"code": -1003, "msg": "Way too much."},
        [[1, 2]],
        [["1704067200000", "1", "1", "1", "1", "1"]],
        [[*binance(0)[:1], "x", "1", "1", "1", "1"]],
        [[*binance(0)[:1], "nan", "1", "1", "1", "1"]],
    ],
)
def test_the_same_for_binance(binance_client, server, rows):
    server.behaviours = [answer(200, rows)] * 5
    with pytest.raises(ExchangeError):
        hours(binance_client, 0, 10)


def test_candles_in_any_order_and_twice_are_put_right(upbit_client, server):
    candles = [upbit(START + hour * HOUR, hour) for hour in (3, 1, 2, 1, 0)]
    server.behaviours = [answer(200, candles)]
    assert opened(hours(upbit_client, 0, 10)) == [0, 1, 2, 3]


def test_what_is_left_of_a_second_or_a_minute_is_heeded(server, upbit_client, binance_client, pauses):
    def with_headers(**headers):
        return lambda handler: handler.send(200, [], **headers) or True

    server.behaviours = [with_headers(Remaining_Req="group=candles; min=599; sec=0"), None]
    hours(upbit_client, 0, 10)
    hours(upbit_client, 0, 10)
    assert 0.5 < max(pauses) <= 1
    pauses.clear()
    server.behaviours = [with_headers(X_MBX_USED_WEIGHT_1M="5990"), None]
    hours(binance_client, 0, 10)
    hours(binance_client, 0, 10)
    assert 0 < max(pauses) <= 60


def test_the_pace_spreads_requests_of_all_threads():
    waits = []
    pace = Pace(2.0)
    for _ in range(4):
        pace.wait(waits.append)
    assert [round(wait, 1) for wait in waits] == [0.5, 1.0, 1.5]


def test_without_ccxt_it_says_how_to_get_it(settings_only, monkeypatch):
    monkeypatch.setitem(sys.modules, "ccxt", None)
    with pytest.raises(NotInstalled, match="pip install 'ccxt"):
        open_exchange("ccxt:kraken", settings_only, lambda seconds: None)


@pytest.fixture
def settings_only(tmp_path):
    from storage_core.settings import Settings

    return Settings(data_dir=tmp_path, database_url="sqlite:///nowhere", secret_key="only for tests, not a secret")


class Kraken:
    """What `ccxt.kraken` looks like from outside, with a few candles."""

    timeframes = {"1h": 60, "1d": 1440, "2w": 21600}  # noqa: RUF012

    def __init__(self, options):
        assert options["enableRateLimit"]

    def load_markets(self):
        return {"BTC/USDT": {"base": "BTC", "quote": "USDT", "spot": True}, "X": {"base": "é", "quote": "USDT"}}

    def fetch_ohlcv(self, market, timeframe, since, limit):
        rows = [
            [at, float(o), float(h), float(low), float(c), 1.5] for at, o, h, low, c, *_ in map(binance, range(700))
        ]
        return [row for row in rows if row[0] >= since][:limit]


def test_other_exchanges_come_by_ccxt(settings_only, monkeypatch):
    errors = {name: type(name, (Exception,), {}) for name in ("BaseError", "BadSymbol", "NetworkError")}
    errors["ExchangeNotAvailable"] = type("ExchangeNotAvailable", (errors["NetworkError"],), {})
    fake = types.SimpleNamespace(exchanges=["kraken"], kraken=Kraken, **errors)
    monkeypatch.setitem(sys.modules, "ccxt", fake)
    kraken = open_exchange("ccxt:kraken", settings_only, lambda seconds: None)
    assert sorted(kraken.timeframes) == ["1d", "1h"]
    assert list(kraken.symbols()) == ["USDT-BTC"]
    at, found = START, []
    while at is not None:
        page = kraken.page("USDT-BTC", "1h", start=at, end=START + 650 * HOUR)
        found += opened(page)
        at = page.next
    assert found == list(range(650))
    with pytest.raises(UnknownMarket):
        kraken.page("USDT-ETH", "1h", start=START, end=START + HOUR)
    with pytest.raises(ExchangeRefused, match="near to it: kraken"):
        open_exchange("ccxt:krakn", settings_only, lambda seconds: None)
    kraken.close()
