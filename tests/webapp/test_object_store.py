"""Results in S3: pages read them; a store that is away is 503 with a time to try again, one that refuses is 500."""

from dataclasses import replace

import pytest

from storage_core.result_root import result_root
from tests.s3 import s3_server
from tests.services import free_port
from tests.webapp import results
from tests.webapp.programs import Program, make_token
from tests.webapp.test_data import csv, send, sent

READ = ("/backtests/{id}/trades", "/backtests/{id}/equity", "/backtests/{id}/export?format=csv")


@pytest.fixture
def settings(settings):
    """Results in a bucket of their own."""
    server = s3_server("rclone")
    kept = replace(settings, results_uri=server.provider().where, s3=server.access())
    yield kept
    result_root(kept).close()


@pytest.fixture
def task_id(engine, settings, users):
    return results.complete(engine, settings, owner_id=users["tom"])


def point_elsewhere(app, settings, monkeypatch, **changes):
    """The application with another place of results, which it has never read from."""
    monkeypatch.setattr("storage_core.object_retry.Patience.pauses", lambda self: iter((0.01, 0.01)))
    elsewhere = replace(settings, data_dir=settings.data_dir / "elsewhere", **changes)
    app.extensions["settings"] = elsewhere
    return elsewhere


def ask_all(app, engine, users, task_id):
    program = Program(app, make_token(engine, users["tom"], "read"))
    return [program("GET", address.format(id=task_id)) for address in READ]


def test_results_are_read_from_there(app, engine, users, trader, task_id):
    assert [answer.status_code for answer in ask_all(app, engine, users, task_id)] == [200, 200, 200]
    trader.get(f"/backtests/{task_id}/trades")


def test_a_store_that_is_away_is_a_503_that_says_when_to_try_again(
    app, engine, settings, users, trader, task_id, monkeypatch
):
    away = s3_server("rclone").access(endpoint_url=f"http://127.0.0.1:{free_port()}")
    elsewhere = point_elsewhere(app, settings, monkeypatch, s3=away)
    for answer in ask_all(app, engine, users, task_id):
        assert (answer.status_code, answer.json["code"]) == (503, "store_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert away.endpoint_url not in answer.text
    page = trader.client.get(f"/backtests/{task_id}/trades")
    assert page.status_code == 503
    assert "The store of the results does not answer right now." in page.text
    assert int(page.headers["Retry-After"]) > 0
    trader.get("/backtests")  # the list needs no files
    result_root(elsewhere).close()


def test_a_store_that_refuses_is_no_reason_to_try_again(app, engine, settings, users, trader, task_id, monkeypatch):
    elsewhere = point_elsewhere(app, settings, monkeypatch, results_uri="s3://no-such-bucket-here")
    for answer in ask_all(app, engine, users, task_id):
        assert (answer.status_code, answer.json["code"]) == (500, "internal")
        assert "Retry-After" not in answer.headers
    page = trader.client.get(f"/backtests/{task_id}/trades")
    assert page.status_code == 500
    assert "refuses" in page.text
    result_root(elsewhere).close()


def test_a_file_that_one_web_server_took_is_looked_at_and_saved_by_another(app, settings, trader, monkeypatch):
    place = sent(trader, csv(), "KRW-XRP_1h.csv")
    point_elsewhere(app, settings, monkeypatch)
    assert "KRW-XRP_1h.csv" in trader.get(place).text
    answers = {"symbol": "KRW-XRP", "timeframe": "1h"}
    assert trader.post(f"{place}/save", answers).location == "/data/KRW-XRP/1h"
    app.extensions["settings"] = settings
    assert trader.client.get(place).status_code == 404
    assert trader.client.get("/data/KRW-XRP/1h").status_code == 200


def test_a_file_that_was_taken_waits_while_the_store_is_away(app, settings, trader, monkeypatch):
    place = sent(trader, csv())
    away = s3_server("rclone").access(endpoint_url=f"http://127.0.0.1:{free_port()}")
    elsewhere = point_elsewhere(app, settings, monkeypatch, s3=away)
    assert trader.client.get(place).status_code == 503
    assert send(trader, csv()).status_code == 503
    assert not list(elsewhere.data_dir.rglob("*.part"))
    app.extensions["settings"] = settings
    assert trader.client.get(place).status_code == 200
