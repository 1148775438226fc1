"""Other exchanges by the real library ccxt, on recorded answers and on a server that misbehaves."""

import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from storage_core.settings import Settings
from tests.exchange_recordings import recording
from tests.exchange_server import START, answer, hang_up, price, replayed, truncate
from tests.local_ccxt import ADDRESSES, point_to
from workers.exchanges import open_exchange
from workers.exchanges.errors import (
    BadAnswer,
    ExchangeBusy,
    ExchangeFailed,
    ExchangeRefused,
    ExchangeUnreachable,
    NotInstalled,
    UnknownMarket,
    UnknownTimeframe,
)

HOUR = timedelta(hours=1)
MARKETS = {
    "upbit": {"/v1/market/all": "upbit_markets_2021.http"},
    "binance": {"/api/v3/exchangeInfo": "binance_exchange_info.http"},
    "kraken": {"/0/public/AssetPairs": "kraken_asset_pairs.http", "/0/public/Assets": "kraken_assets.http"},
}


@pytest.fixture
def opened(server, pauses, tmp_path, monkeypatch):
    """Opens an exchange by its name in ccxt, its markets loaded."""
    settings = Settings(data_dir=tmp_path, database_url="sqlite:///nowhere", secret_key="only for tests, not a secret")
    made = []

    def open_one(name):
        if name in ADDRESSES:
            point_to(server.url, name, monkeypatch)
            for path, file in MARKETS[name].items():
                server.record(path, file)
        made.append(open_exchange(f"ccxt:{name}", settings, pauses.append))
        if name in ADDRESSES:
            made[-1].symbols()
            server.requests.clear()
            pauses.clear()
        return made[-1]

    yield open_one
    for one in made:
        one.close()


def bars(page):
    rows = zip(page.timestamp.tolist(), page.values.tolist(), strict=True)
    return [(at, *(Decimal(repr(value)) for value in values)) for at, values in rows]


def at_hours(page):
    return [(at // 1_000_000 - int(START.timestamp())) // 3600 for at in page.timestamp.tolist()]


def test_krakens_hours(server, opened):
    server.record("/0/public/OHLC", "kraken_ohlc_60.http")
    rows = recording("kraken_ohlc_60.http").json()["result"]["XBTUSDT"]
    kraken = opened("kraken")
    begin = datetime.fromtimestamp(rows[0][0], UTC)
    page = kraken.page("USDT-BTC", "1h", start=begin, end=begin + len(rows) * HOUR)
    assert list(kraken.symbols()) == ["USDT-BTC"]
    assert bars(page) == [
        (row[0] * 1_000_000, *(Decimal(row[i]) for i in (1, 2, 3, 4, 6))) for row in rows
    ]  # the fifth is a mean price
    assert page.next is None


def test_binances_minutes(server, opened):
    server.record("/api/v3/klines", "binance_klines_1m_2021.http")
    rows = recording("binance_klines_1m_2021.http").json()
    binance = opened("binance")
    begin = datetime.fromtimestamp(rows[0][0] / 1000, UTC)
    page = binance.page("USDT-BTC", "1m", start=begin, end=begin + timedelta(minutes=len(rows)))
    assert list(binance.symbols()) == ["USDT-BTC", "USDT-ETH"]
    assert bars(page) == [(row[0] * 1000, *map(Decimal, row[1:6])) for row in rows]
    assert f"startTime={rows[0][0]}" in server.requests[0]
    assert "limit=1000" in server.requests[0]


def test_upbits_markets_and_what_it_is_asked_for(server, opened):
    upbit = opened("upbit")
    assert len(upbit.symbols()) == 11
    assert "KRW-DOGE" in upbit.symbols()
    upbit.page("KRW-DOGE", "1h", start=START, end=START + 1000 * HOUR)
    until = START + 200 * HOUR  # 200 a request: more would leave out those before the last 200
    assert server.requests == [
        f"/v1/candles/minutes/60?market=KRW-DOGE&count=200&to={until:%Y-%m-%dT%H%%3A%M%%3A%S}.000Z"
    ]


def test_pages_follow_one_another_over_a_time_without_bars(server, opened):
    server.hours = [hour for hour in range(1500) if not 300 <= hour < 900]  # three empty pages
    upbit, at, found = opened("upbit"), START, []
    while at is not None:
        page = upbit.page("KRW-DOGE", "1h", start=at, end=START + 1400 * HOUR)
        found += at_hours(page)
        at = page.next
    assert found == [hour for hour in server.hours if hour < 1400]


def test_the_first_day_with_a_bar_is_looked_for(server, opened):
    server.hours = [24 * day for day in range(100, 250)]
    upbit = opened("upbit")
    assert upbit.first("KRW-DOGE", "1h") == START + timedelta(days=100)
    assert all(path.startswith("/v1/candles/days?") for path in server.requests)
    server.hours = []
    assert upbit.first("KRW-DOGE", "1h") > START


def test_only_closed_bars_come(server, opened):
    now = datetime.now(UTC)
    this = int((now - START) / HOUR)
    server.hours = [this - 2, this]
    page = opened("upbit").page("KRW-DOGE", "1h", start=START + (this - 2) * HOUR, end=now + HOUR)
    assert at_hours(page) == [this - 2]
    assert page.next is None


def test_an_exchange_whose_clock_is_behind_decides_what_is_closed(server, opened):
    """The newest minute of this recording had seven trades when it was made."""
    server.record("/api/v3/klines", "binance_klines_1m_2021.http", Date="Fri, 22 Oct 2021 23:12:05 GMT")
    begin = datetime(2021, 10, 22, 23, 3, tzinfo=UTC)
    page = opened("binance").page("USDT-BTC", "1m", start=begin, end=begin + timedelta(minutes=10))
    assert len(page.timestamp) == 9


@pytest.mark.parametrize(
    "behaviour",
    [
        answer(500), answer(503, b"<html>"), answer(200, b'[{"market": "KRW'), answer(200, b""),
        answer(200, {"not": "a list"}), hang_up, truncate,
    ],
    ids=["500", "503", "half", "empty", "object", "hang up", "truncated"],
)  # fmt: skip
def test_what_passes_is_tried_again(server, opened, pauses, behaviour):
    upbit = opened("upbit")
    server.behaviours = [behaviour, behaviour]
    assert at_hours(upbit.page("KRW-DOGE", "1h", start=START, end=START + 100 * HOUR)) == list(range(100))
    assert len(server.requests) == 3
    assert [pause for pause in pauses if pause] == [0.5, 1.0]


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [(answer(502), ExchangeFailed), (hang_up, ExchangeUnreachable), (answer(200, b"[1, 2"), BadAnswer)],
)
def test_what_does_not_pass_is_said_after_five_tries(server, opened, behaviour, error):
    upbit = opened("upbit")
    server.behaviours = [behaviour] * 9
    with pytest.raises(error) as caught:
        upbit.page("KRW-DOGE", "1h", start=START, end=START + HOUR)
    assert not caught.value.permanent
    assert len(server.requests) == 5


def test_half_a_list_of_markets_is_not_believed(server, opened):
    kraken = opened("kraken")
    kraken._exchange.markets = None  # as before the first request
    server.behaviours = [None, answer(200, b'{"error":[],"result":{"XBTU')]
    assert list(kraken.symbols()) == ["USDT-BTC"]


@pytest.mark.parametrize("status", [429, 418])
def test_an_exchange_that_asks_for_patience_gets_it(server, opened, pauses, status):
    upbit = opened("upbit")
    server.behaviours = [answer(status, b"{}", Retry_After="7")]
    assert at_hours(upbit.page("KRW-DOGE", "1h", start=START, end=START + 10 * HOUR)) == list(range(10))
    assert [pause for pause in pauses if pause] == [7.0]


def test_a_recorded_ban_of_binance(server, opened, pauses):
    server.record("/api/v3/klines", "binance_klines_1m_2021.http")
    binance = opened("binance")
    begin = datetime(2021, 10, 22, 23, 3, tzinfo=UTC)
    server.behaviours = [replayed("binance_too_many.http"), replayed("binance_banned.http", Retry_After="720")]
    assert len(binance.page("USDT-BTC", "1m", start=begin, end=begin + HOUR).timestamp) == 10
    assert [pause for pause in pauses if pause] == [60.0, 720.0]
    server.behaviours = [replayed("binance_banned.http", Retry_After="86400")]
    with pytest.raises(ExchangeBusy, match="86,400 seconds"):
        binance.page("USDT-BTC", "1m", start=begin, end=begin + HOUR)


def test_a_no_is_a_no(server, opened):
    server.record("/api/v3/klines", "binance_bad_symbol.http")
    binance = opened("binance")
    with pytest.raises(ExchangeRefused, match="Invalid symbol") as caught:
        binance.page("USDT-ETH", "1h", start=START, end=START + HOUR)
    assert caught.value.permanent
    server.behaviours = [answer(451, b"{}")]
    with pytest.raises(ExchangeRefused, match=r"refuses to answer here \(451\)"):
        binance.page("USDT-ETH", "1h", start=START, end=START + HOUR)
    assert len(server.requests) == 2


def test_what_it_does_not_have(server, opened):
    upbit = opened("upbit")
    with pytest.raises(UnknownMarket, match="no market KRW-DOGX; near to it: KRW-DOGE"):
        upbit.page("KRW-DOGX", "1h", start=START, end=START + HOUR)
    del upbit.timeframes["4h"]
    with pytest.raises(UnknownTimeframe, match="no bars of 4h; it has 1m, 5m, 15m, 1h, 1d"):
        upbit.page("KRW-DOGE", "4h", start=START, end=START + HOUR)
    with pytest.raises(ExchangeRefused, match="near to it: kraken"):
        opened("krakn")
    assert server.requests == []


def test_prices_are_those_of_the_server(opened):
    page = opened("upbit").page("KRW-DOGE", "1h", start=START, end=START + 60 * HOUR)
    assert page.values[:, 0].tolist() == [price(hour) for hour in range(60)]


def test_without_ccxt_it_says_how_to_get_it(opened, monkeypatch):
    monkeypatch.setitem(sys.modules, "ccxt", None)
    with pytest.raises(NotInstalled, match="pip install 'ccxt"):
        opened("coinbase")
