"""Trades, equity and exports: complete, in order, and as stored."""

import csv
import io
import json
import zipfile

import pyarrow.parquet
import pytest

from storage_core import backtests, result_store
from storage_core.db import session_scope
from storage_core.result_store import TABLES
from tests.webapp import results
from tests.webapp.programs import Program, make_token


@pytest.fixture
def tom(app, engine, users):
    return Program(app, make_token(engine, users["tom"], "read"))


@pytest.fixture
def task_id(engine, settings, users):
    return results.complete(engine, settings, owner_id=users["tom"], symbols=["KRW-BTC", "KRW-ETH"])


@pytest.fixture
def stored(engine, settings, task_id):
    with session_scope(engine) as session:
        row = backtests.get(session, task_id)
    return lambda name: result_store.read_table(settings, row, name)


def test_trades_go_by_pages_in_the_order_of_their_entries(tom, task_id, stored):
    address, seen = f"/backtests/{task_id}/trades?size=50", []
    while address:
        answer = tom("GET", address)
        seen += answer.json["trades"]
        assert answer.json["total"] == 120
        address = answer.headers["Link"].partition(">")[0][1:] if "Link" in answer.headers else None
        assert (answer.json["next"] is None) == (address is None)
    assert [trade["number"] for trade in seen] == list(range(120))
    assert [trade["entry_at"] for trade in seen] == sorted(trade["entry_at"] for trade in seen)
    table = stored("symbol_signals").to_pylist()
    assert sorted(trade["pnl"] for trade in seen) == sorted(row["pnl"] for row in table)
    assert {trade["side"] for trade in seen} == {"long"}
    still_open = [trade for trade in seen if trade["status"] == "open"]
    assert [(trade["exit_at"], trade["exit_price"]) for trade in still_open] == [(None, None)] * 2


def test_trades_of_one_symbol(tom, task_id):
    answer = tom("GET", f"/backtests/{task_id}/trades?symbol=KRW-ETH&after=55").json
    assert (answer["total"], len(answer["trades"]), answer["next"]) == (60, 5, None)
    assert {trade["symbol"] for trade in answer["trades"]} == {"KRW-ETH"}
    assert tom("GET", f"/backtests/{task_id}/trades?after=1000").json["trades"] == []


@pytest.mark.parametrize("part", ["trades", "equity"])
def test_an_unknown_symbol_is_named(tom, task_id, part):
    answer = tom("GET", f"/backtests/{task_id}/{part}?symbol=KRW-XRP")
    assert (answer.status_code, answer.json["errors"][0]["allowed"]) == (422, "KRW-BTC, KRW-ETH")


def test_equity_in_few_points_keeps_its_extremes(tom, task_id):
    whole = tom("GET", f"/backtests/{task_id}/equity?size=50000").json
    assert (whole["total"], len(whole["equity"]), whole["sampled"], whole["next"]) == (500, 500, False, None)
    few = tom("GET", f"/backtests/{task_id}/equity?points=100").json
    assert few["sampled"]
    assert 20 <= len(few["timestamp"]) == len(few["equity"]) == len(few["drawdown_pct"]) <= 100
    assert (min(few["equity"]), max(few["equity"])) == (min(whole["equity"]), max(whole["equity"]))
    assert min(few["drawdown_pct"]) == min(whole["drawdown_pct"]) < 0
    assert whole["timestamp"][0] == "2024-01-01T00:00:00Z"


def test_equity_bar_by_bar(tom, task_id, stored):
    address, seen = f"/backtests/{task_id}/equity?symbol=KRW-ETH&size=120", []
    while address:
        answer = tom("GET", address)
        seen += answer.json["equity"]
        address = answer.headers["Link"].partition(">")[0][1:] if "Link" in answer.headers else None
    rows = [row["equity"] for row in stored("performance_curve").to_pylist() if row["symbol"] == "KRW-ETH"]
    assert seen == rows


@pytest.mark.parametrize("part", ["trades", "equity", "export"])
def test_without_a_result_there_is_nothing_to_read(tom, engine, users, part):
    task_id = results.queue(engine, owner_id=users["tom"])
    answer = tom("GET", f"/backtests/{task_id}/{part}")
    assert (answer.status_code, answer.json["code"], answer.json["was"]) == (409, "not_completed", "queued")


@pytest.mark.parametrize("part", ["trades", "equity", "export", "export?format=csv"])
def test_a_result_that_is_gone_or_damaged_is_a_problem(tom, settings, task_id, part):
    (folder,) = settings.results_dir.glob(f"backtests/{task_id}")
    for file in folder.glob("*.parquet"):
        file.write_bytes(b"PAR1" + bytes(40) + b"PAR1")
    damaged = tom("GET", f"/backtests/{task_id}/{part}")
    assert (damaged.status_code, damaged.json["code"]) == (500, "result_damaged")
    for file in folder.glob("*"):
        file.unlink()
    folder.rmdir()
    gone = tom("GET", f"/backtests/{task_id}/{part}")
    assert (gone.status_code, gone.json["code"]) == (404, "result_missing")


def test_export_as_json(tom, task_id, stored):
    answer = tom("GET", f"/backtests/{task_id}/export")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="sma_cross-{task_id}.json"'
    document = json.loads(answer.data, parse_constant=pytest.fail)
    assert document["backtest"]["task_id"] == str(task_id)
    for name in TABLES:
        rows = stored(name).to_pylist()
        assert len(document[name]) == len(rows)
        assert list(document[name][0]) == list(rows[0])
    assert document["performance_curve"][3]["equity"] == stored("performance_curve")["equity"][3].as_py()


@pytest.mark.parametrize("table", TABLES)
def test_export_as_csv_and_parquet(tom, task_id, stored, table):
    answer = tom("GET", f"/backtests/{task_id}/export?format=csv&table={table}")
    assert answer.mimetype == "text/csv"
    rows = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True))))
    assert [row["symbol"] for row in rows] == stored(table)["symbol"].to_pylist()
    answer = tom("GET", f"/backtests/{task_id}/export?format=parquet&table={table}")
    assert pyarrow.parquet.read_table(io.BytesIO(answer.data)).equals(stored(table))


def test_an_export_is_streamed_in_pieces(tom, task_id, stored, monkeypatch):
    monkeypatch.setattr("webapp.api.exports.BATCH", 100)
    answer = tom("GET", f"/backtests/{task_id}/export?format=csv&table=performance_curve")
    assert len(list(csv.reader(io.StringIO(answer.get_data(as_text=True))))) == 1 + 1000
    document = tom("GET", f"/backtests/{task_id}/export").json
    assert len(document["performance_curve"]) == 1000
    packed = tom("GET", f"/backtests/{task_id}/export?format=parquet&table=performance_curve").data
    assert pyarrow.parquet.read_table(io.BytesIO(packed)).equals(stored("performance_curve"))


def test_export_as_zip(tom, task_id, stored):
    answer = tom("GET", f"/backtests/{task_id}/export?format=zip")
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["backtest.json", *sorted(f"{name}.csv" for name in TABLES)]
        rows = list(csv.reader(io.TextIOWrapper(archive.open("symbol_signals.csv"), "utf-8")))
    assert len(rows) == 1 + stored("symbol_signals").num_rows


def test_export_as_parquet_zip(tom, task_id, stored):
    answer = tom("GET", f"/backtests/{task_id}/export?format=parquet-zip")
    assert answer.headers["Content-Disposition"].endswith('.parquet.zip"')
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert json.loads(archive.read("backtest.json"))["task_id"] == str(task_id)
        for name in TABLES:
            assert pyarrow.parquet.read_table(io.BytesIO(archive.read(f"{name}.parquet"))).equals(stored(name))


def test_export_in_the_legacy_layout_and_as_a_report(tom, task_id, stored):
    answer = tom("GET", f"/backtests/{task_id}/export?format=legacy")
    assert answer.mimetype == "application/json"
    assert answer.headers["Content-Disposition"].endswith('.result.json"')
    document = answer.json
    assert document["run_id"] == str(task_id)
    assert sum(len(one["signals"]) for one in document["symbols"]) == stored("symbol_signals").num_rows
    report = tom("GET", f"/backtests/{task_id}/export?format=html")
    assert report.mimetype == "text/html"
    assert "attachment" in report.headers["Content-Disposition"]
    assert report.data.startswith(b"<!doctype html>")
