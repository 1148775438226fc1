"""`flask bars`: list, import, fetch, check, delete."""

import json
import threading
from dataclasses import replace

import pytest

from storage_core import jobs
from storage_core.db import session_scope
from storage_core.fetch_request import KIND
from tests.exchange_server import START, exchange_server
from tests.services import wait_for
from tests.webapp.test_data import csv
from workers.jobs import run_next_job
from workers.runtime import Runtime


@pytest.fixture
def run(console):
    def ran(*arguments, status=0, said=None):
        result = console.test_cli_runner().invoke(args=["bars", *map(str, arguments)], input=said)
        assert result.exit_code == status, (result.output, result.exception)
        return json.loads(result.stdout[result.stdout.index("{") :]) if "--json" in arguments else result.output

    return ran


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "KRW-XRP_1h.csv"
    path.write_bytes(csv())
    return path


def test_list_says_what_is_stored(run, bars):
    assert [one["symbol"] for one in run("list", "--json")["bars"]] == ["KRW-BTC", "KRW-ETH"]
    assert "KRW-BTC         1h          500  2024-01-01 to 2024-01-21" in run("list")
    (bars.root / "KRW-SOL_1h.parquet").write_bytes(b"no")
    assert "KRW-SOL_1h.parquet cannot be read" in run("list", status=1)


def test_list_of_nothing_says_what_to_do(run):
    assert "flask bars fetch" in run("list")


def test_import_reports_and_stores(run, bars, file):
    dry = run("import", file, "--dry-run", "--json")
    assert (dry["added"], dry["stored"], len(bars.inventory())) == (5, False, 2)
    assert run("import", file, "--json")["stored"]
    assert len(bars.read("KRW-XRP", "1h")) == 5
    file.write_bytes(csv(close=101.5))
    refused = run("import", file, "--json", status=1)
    assert (refused["conflicts"], refused["stored"]) == (5, False)
    assert run("import", file, "--wins", "new", "--json")["stored"]
    assert bars.read("KRW-XRP", "1h").close[0] == 101.5


def test_import_names_bad_rows_and_takes_other_columns(run, bars, file):
    file.write_bytes(csv().replace(b"close", b"price") + b"soon,1,1,1,1,1\n")
    assert "choose the column of: close" in run("import", file, status=1)
    assert "row 6: the time cannot be read" in run("import", file, "--column", "close=price", status=1)
    assert run("import", file, "--column", "close=price", "--leave-out", "--json")["added"] == 5
    assert "not of the form" in run("import", file, "--column", "close", status=1)


def test_check_reads_everything_again(run, bars):
    assert [one["word"] for one in run("check", "--json")["bars"]] == ["good", "good"]
    assert "KRW-ETH" not in run("check", "KRW-BTC")
    path = bars.path("KRW-BTC", "1h")
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 3] ^= 0x10
    path.write_bytes(bytes(whole))
    assert "KRW-BTC_1h.parquet cannot be read" in run("check", status=1)


def test_delete_says_how_many_results_used_them(run, bars, completed):
    completed(symbols=["KRW-BTC"], timeframe="1h")
    assert "used by 1 results" in run("delete", "KRW-BTC", "1h", status=1, said="n\n")
    assert len(bars.inventory()) == 2
    assert run("delete", "KRW-BTC", "1h", "--yes", "--json")["used_by_results"] == 1
    assert [one.symbol for one in bars.inventory()] == ["KRW-ETH"]
    assert "available: KRW-ETH" in run("delete", "KRW-BTC", "1h", "--yes", status=1)


def test_fetch_waits_for_the_worker(run, engine, settings):
    day = f"{START:%Y-%m-%d}"
    with exchange_server() as server:
        server.hours = list(range(30))
        runtime = Runtime(replace(settings, binance_url=server.url))
        worker = threading.Thread(target=lambda: wait_for(lambda: run_next_job(runtime), what="a job"))
        worker.start()
        answer = run("fetch", "binance", "USDT-BTC", "1h", "--start", day, "--end", "2024-01-02", "--json")
        worker.join()
        runtime.close()
    assert (answer["status"], answer["added"], answer["rows"]) == ("completed", 24, 24)
    with session_scope(engine) as session:
        assert [job.status for job in jobs.listed(session, kinds=[KIND])] == ["completed"]
    assert "allowed: upbit, binance" in run("fetch", "nowhere", "USDT-BTC", "1h", "--start", day, status=2)
