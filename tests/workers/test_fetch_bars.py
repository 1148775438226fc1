"""Fetching bars as a job: whole, resumed after a kill, cancelled, and never against what is stored."""

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from storage_core import jobs
from storage_core.bar_store import BarStore, Coverage
from storage_core.db import session_scope, utc_now
from storage_core.errors import BadFilter
from storage_core.fetch_request import KIND, FetchRequest, parse_fetch
from tests.exchange_recordings import of_binance, of_upbit
from tests.exchange_server import START, answer, exchange_server, price
from tests.local_ccxt import point_to
from tests.services import wait_for
from tests.workers.dying_fetch import killed_fetch
from workers import fetch_bars
from workers.jobs import run_next_job
from workers.queue import make_broker
from workers.runtime import Runtime

HOUR = timedelta(hours=1)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def server():
    with exchange_server() as running:
        running.hours = [hour for hour in range(3000) if not 700 <= hour < 760]
        yield running


@pytest.fixture
def database_url(sqlite_url):
    return sqlite_url


@pytest.fixture
def runtime(settings, server, broker_url, monkeypatch):
    from dataclasses import replace

    from workers.exchanges import client

    monkeypatch.setattr(client, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr("workers.exchanges.upbit.PER_SECOND", 200.0)  # nobody is to be spared here
    runtime = Runtime(replace(settings, upbit_url=server.url, binance_url=server.url), make_broker(broker_url))
    yield runtime
    runtime.close()


def ask(runtime, **changes):
    request = FetchRequest(**{
        "exchange": "binance", "symbol": "USDT-BTC", "timeframe": "1h", "start": START, "end": START + 2400 * HOUR,
        **changes,
    })  # fmt: skip
    with session_scope(runtime.engine) as session:
        return jobs.create(session, kind=KIND, args=request.as_args()).job_id


def row(runtime, job_id):
    with session_scope(runtime.engine) as session:
        return jobs.get(session, job_id)


def stored(runtime, symbol="USDT-BTC"):
    return BarStore(runtime.settings.bars_dir).read(symbol, "1h")


@pytest.mark.parametrize("exchange", ["upbit", "binance"])
def test_everything_that_is_there_is_fetched_and_gaps_stay(runtime, exchange):
    job_id = ask(runtime, exchange=exchange, symbol="KRW-BTC")
    run_next_job(runtime)
    ended = row(runtime, job_id)
    assert ended.status == "completed", ended.error_message
    bars = stored(runtime, "KRW-BTC")
    assert len(bars) == 2400 - 60
    assert bars.open[5] == price(5)
    assert (ended.outcome["added"], ended.outcome["conflicts"], ended.outcome["rows"]) == (2340, 0, 2340)
    assert BarStore(runtime.settings.bars_dir).inventory()[0].quality.missing_bars == 60


@pytest.mark.parametrize(
    ("exchange", "path", "name", "timeframe", "begin", "end"),
    [
        ("upbit", "/v1/candles/days", "upbit_days.http", "1d", "2025-07-28T00:00", "2025-07-30T00:00"),
        ("binance", "/api/v3/klines", "binance_klines_1m_2021.http", "1m", "2021-10-22T23:03", "2021-10-22T23:13"),
    ],
)
def test_recorded_candles_reach_the_store_as_they_are(runtime, server, exchange, path, name, timeframe, begin, end):
    server.record(path, name)
    start, end = (datetime.fromisoformat(f"{text}+00:00") for text in (begin, end))
    job_id = ask(runtime, exchange=exchange, symbol="KRW-BTC", timeframe=timeframe, start=start, end=end)
    run_next_job(runtime)
    assert row(runtime, job_id).status == "completed", row(runtime, job_id).error_message
    bars = BarStore(runtime.settings.bars_dir).read("KRW-BTC", timeframe)
    columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
    kept = zip(bars.timestamp.tolist(), *(column.tolist() for column in columns), strict=True)
    expected = {"upbit": of_upbit, "binance": of_binance}[exchange](name)
    assert [(at, *(Decimal(repr(value)) for value in values)) for at, *values in kept] == expected


def test_a_broken_fetch_goes_on_where_it_was(runtime, server, monkeypatch):
    monkeypatch.setattr(fetch_bars, "BARS_A_BATCH", 1000)
    job_id = ask(runtime)
    server.behaviours = [None, None, *[answer(503)] * 5]
    run_next_job(runtime)
    broken = row(runtime, job_id)
    assert (broken.status, broken.error_code) == ("queued", "exchange_failed")
    kept = datetime.fromisoformat(broken.state["next"])
    assert kept > START
    assert len(stored(runtime)) == 1000
    server.requests.clear()
    with session_scope(runtime.engine) as session:
        jobs.get(session, job_id).not_before = NOW - timedelta(days=999)
    run_next_job(runtime)
    assert row(runtime, job_id).status == "completed"
    assert f"startTime={int(kept.timestamp() * 1000)}" in server.requests[0]
    assert (len(stored(runtime)), row(runtime, job_id).outcome["added"]) == (2340, 2340)


@pytest.mark.parametrize(
    ("step", "begins", "added", "same"),
    [("stored", START, 1340, 1000), ("kept", START + 1060 * HOUR, 2340, 0)],
)
def test_a_killed_fetch_goes_on_after_the_last_batch(runtime, server, broker_url, step, begins, added, same):
    """Killed between storing a batch and noting it, the same bars come again; later, only what is missing does."""
    job_id = ask(runtime)
    killed_fetch(runtime.settings, broker_url, step)
    assert (row(runtime, job_id).status, len(stored(runtime))) == ("running", 1000)
    with session_scope(runtime.engine) as session:
        assert jobs.requeue_lost(session, now=utc_now() + timedelta(minutes=1)) == [job_id]
        jobs.get(session, job_id).not_before = NOW - timedelta(days=999)
    server.requests.clear()
    run_next_job(runtime)
    ended = row(runtime, job_id)
    pages = [request for request in server.requests if "limit=1000" in request]
    assert f"startTime={int(begins.timestamp()) * 1000}&" in pages[0]
    assert (ended.status, ended.outcome["added"], ended.outcome["same"]) == ("completed", added, same)
    assert stored(runtime).open.tolist() == [price(hour) for hour in server.hours if hour < 2400]


def test_other_exchanges_are_fetched_by_the_same_job(runtime, server, monkeypatch):
    point_to(server.url, "upbit", monkeypatch)
    server.record("/v1/market/all", "upbit_markets_2021.http")
    job_id = ask(runtime, exchange="ccxt:upbit", symbol="KRW-DOGE")
    run_next_job(runtime)
    ended = row(runtime, job_id)
    assert ended.status == "completed", ended.error_message
    assert stored(runtime, "KRW-DOGE").open.tolist() == [price(hour) for hour in server.hours if hour < 2400]


def test_a_cancelled_fetch_keeps_what_it_had_stored(runtime, server, monkeypatch):
    monkeypatch.setattr(fetch_bars, "BARS_A_BATCH", 1000)
    job_id = ask(runtime)
    server.behaviours = [None, None, answer(429, b"{}", Retry_After="300")]
    thread = threading.Thread(target=run_next_job, args=(runtime,))
    thread.start()
    wait_for(lambda: row(runtime, job_id).state.get("added") == 1000, what="the first batch")
    with session_scope(runtime.engine) as session:
        jobs.cancel(session, job_id)
    thread.join(60)
    assert row(runtime, job_id).status == "cancelled"
    assert len(stored(runtime)) == 1000


def test_a_second_fetch_adds_only_what_is_new(runtime):
    ask(runtime, end=START + 500 * HOUR)
    run_next_job(runtime)
    job_id = ask(runtime, end=START + 600 * HOUR)
    run_next_job(runtime)
    outcome = row(runtime, job_id).outcome
    assert (outcome["added"], outcome["same"], outcome["conflicts"]) == (100, 500, 0)


@pytest.mark.parametrize(("wins", "kept"), [("stored", 7777.0), ("new", price(3))])
def test_a_stored_bar_that_differs_is_named_and_changes_only_when_told(runtime, wins, kept):
    stamp = np.array([int((START + 3 * HOUR).timestamp()) * 1_000_000])
    columns = {name: np.array([7777.0]) for name in ("open", "high", "low", "close", "volume")}
    BarStore(runtime.settings.bars_dir).merge("USDT-BTC", "1h", {"timestamp": stamp, **columns})
    job_id = ask(runtime, end=START + 10 * HOUR, wins=wins)
    run_next_job(runtime)
    outcome = row(runtime, job_id).outcome
    assert (outcome["added"], outcome["conflicts"]) == (9, 1)
    assert outcome["examples"][0]["stored"]["open"] == 7777.0
    assert stored(runtime).open[3] == kept


def test_no_bars_is_no_error(runtime, server):
    server.hours = []
    job_id = ask(runtime)
    run_next_job(runtime)
    assert (row(runtime, job_id).status, row(runtime, job_id).outcome["rows"]) == ("completed", 0)


def test_a_market_that_is_not_there_fails_at_once(runtime, server):
    server.record("/api/v3/klines", "binance_bad_symbol.http")
    server.record("/api/v3/exchangeInfo", "binance_exchange_info.http")
    job_id = ask(runtime, symbol="USDT-BTX")
    run_next_job(runtime)
    failed = row(runtime, job_id)
    assert (failed.status, failed.error_code) == ("failed", "unknown_market")
    assert "USDT-BTC" in failed.error_message


COVERED = [Coverage("KRW-BTC", "1h", 10, START, START + 9 * HOUR, 100)]


def test_a_request_is_read_and_written():
    asked = {"exchange": "upbit", "symbol": "krw/btc", "timeframe": "1h", "start": "2024-01-01", "wins": "new"}
    request = parse_fetch(asked, inventory=[], now=NOW)
    assert request == FetchRequest("upbit", "KRW-BTC", "1h", START, None, "new")
    assert FetchRequest.from_args(request.as_args()) == request


def test_without_a_date_it_goes_on_where_the_stored_bars_end():
    asked = {"exchange": "upbit", "symbol": "KRW-BTC", "timeframe": "1h"}
    assert parse_fetch(asked, inventory=COVERED, now=NOW).start == START + 10 * HOUR
    with pytest.raises(BadFilter, match="no bars of KRW-BTC 1d are stored"):
        parse_fetch({**asked, "timeframe": "1d"}, inventory=COVERED, now=NOW)


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"exchange": "upbt"}, "exchange", "did you mean upbit"),
        ({"exchange": ""}, "exchange", "upbit, binance"),
        ({"exchange": "ccxt:../x"}, "exchange", "ccxt:kraken"),
        ({"symbol": "bitcoin"}, "symbol", "KRW-BTC"),
        ({"timeframe": "2h"}, "timeframe", "1m, 5m"),
        ({"start": "soon"}, "start", "2024-01-31"),
        ({"start": "1999-01-01"}, "start", "from 2009-01-03"),
        ({"start": "2030-01-01"}, "start", "to today"),
        ({"end": "2023-01-01"}, "end", "after 2024-01-01"),
        ({"wins": "both"}, "wins", "stored or new"),
    ],
)
def test_what_cannot_be_fetched_is_said_beside_its_field(changes, field, said):
    asked = {"exchange": "upbit", "symbol": "KRW-BTC", "timeframe": "1h", "start": "2024-01-01", **changes}
    with pytest.raises(BadFilter, match=said) as caught:
        parse_fetch(asked, inventory=COVERED, now=NOW)
    assert caught.value.field == field
