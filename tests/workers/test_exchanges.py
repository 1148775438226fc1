"""Clients of exchanges: on answers as they should be, and on a server that misbehaves."""

import sys
from datetime import UTC, datetime, timedelta

import pytest

from tests.exchange_server import START, answer, binance, hang_up, say_nothing, truncate, upbit
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
)
from workers.exchanges.upbit import Upbit

HOUR = timedelta(hours=1)


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


def test_pages_follow_one_another_to_the_end(exchange, server):
    server.hours = [hour for hour in range(2500) if not 700 <= hour < 760]
    at, found = START, []
    while at is not None:
        page = exchange.page("KRW-BTC", "1h", start=at, end=START + 2400 * HOUR)
        found += opened(page)
        at = page.next
    assert found == [hour for hour in server.hours if hour < 2400]


def test_a_bar_that_opened_late_hides_none_after_it(server, binance_client):
    """After the halt of February 2018 Binance has hours that opened at 28 minutes past, and then one on the hour."""
    late, on_the_hour = 1518319694789, 1518321600000
    row = binance(0)[1:6]
    page = [[on_the_hour - hour * 3_600_000, *row, 0] for hour in range(1000, 1, -1)] + [[late, *row, 0]]
    server.behaviours = [answer(200, page)]
    found = binance_client.page("USDT-BTC", "1h", start=datetime(2017, 12, 1, tzinfo=UTC), end=datetime.now(UTC))
    assert int(found.timestamp[-1]) == late * 1000
    assert found.next == datetime.fromtimestamp(on_the_hour / 1000, UTC)


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


def test_what_is_left_of_a_second_or_a_minute_is_heeded(noon, server, upbit_client, binance_client, pauses):
    def with_headers(**headers):
        return lambda handler: handler.send(200, [], **headers) or True

    server.behaviours = [with_headers(Remaining_Req="group=candles; min=599; sec=0"), None]
    hours(upbit_client, 0, 10)
    hours(upbit_client, 0, 10)
    assert max(pauses) == 1
    pauses.clear()
    server.behaviours = [with_headers(X_MBX_USED_WEIGHT_1M="5990"), None]
    hours(binance_client, 0, 10)
    hours(binance_client, 0, 10)
    assert 0 < max(pauses) <= 60


def test_the_pace_spreads_requests_of_all_threads(noon):
    waits = []
    pace = Pace(2.0)
    for _ in range(4):
        pace.wait(waits.append)
    assert waits == [0.5, 1.0, 1.5]


def test_who_has_a_place_in_line_is_held_like_everybody_else(noon):
    """The exchange asks one thread for patience while another one waits for its turn."""
    pace, waits = Pace(2.0), []

    def pause(seconds):
        waits.append(seconds)
        if len(waits) == 1:
            pace.hold(60)

    pace.wait(pause)
    pace.wait(pause)
    assert waits == [0.5, 60.0]


def test_without_ccxt_it_says_how_to_get_it(settings_only, monkeypatch):
    monkeypatch.setitem(sys.modules, "ccxt", None)
    with pytest.raises(NotInstalled, match="pip install 'ccxt"):
        open_exchange("ccxt:kraken", settings_only, lambda seconds: None)


@pytest.fixture
def settings_only(tmp_path):
    from storage_core.settings import Settings

    return Settings(data_dir=tmp_path, database_url="sqlite:///nowhere", secret_key="only for tests, not a secret")
