"""The JSON API."""

from uuid import uuid4

import pytest
from sqlalchemy import func, select

from engine.catalog import STRATEGIES
from storage_core.db import session_scope
from storage_core.models import Backtest
from tests.webapp import results

SPEC = {
    "strategy": "sma_cross",
    "params": {"fast": 5},
    "symbols": ["KRW-BTC"],
    "timeframe": "1h",
    "start_date": "2024-01-01",
    "end_date": "2024-01-20",
}
SUBMIT = "/api/v1/backtests/async"


def count(engine) -> int:
    with session_scope(engine) as session:
        return session.scalar(select(func.count()).select_from(Backtest))


def test_submit_follow_cancel(trader, bars, engine, users):
    answer = trader.json(SUBMIT, SPEC, method="POST")
    assert answer.status_code == 202
    task_id, address = answer.json["task_id"], answer.json["status_url"]
    assert address == answer.headers["Location"] == f"/api/v1/backtests/async/{task_id}/status"
    status = trader.json(address).json
    assert (status["status"], status["progress"], status["attempt"]) == ("queued", 0, 0)
    detail = trader.json(f"/api/v1/backtests/{task_id}").json
    assert detail["spec"]["params"] == {"fast": 5, "slow": 30}
    assert detail["source"] == "api"
    cancelled = trader.json(f"/api/v1/backtests/{task_id}/cancel", method="POST")
    assert (cancelled.status_code, cancelled.json["status"]) == (202, "cancelled")
    again = trader.json(f"/api/v1/backtests/{task_id}/cancel", method="POST")
    assert (again.status_code, again.mimetype) == (409, "application/problem+json")


def test_the_dates_are_those_of_the_account(admin, bars):
    task_id = admin.json(SUBMIT, SPEC, method="POST").json["task_id"]
    assert admin.json(f"/api/v1/backtests/{task_id}").json["spec"]["timezone"] == "Asia/Seoul"
    task_id = admin.json(SUBMIT, {**SPEC, "timezone": "Europe/Berlin"}, method="POST").json["task_id"]
    assert admin.json(f"/api/v1/backtests/{task_id}").json["spec"]["timezone"] == "Europe/Berlin"


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"strategy": "sma_cros"}, ["strategy"]),
        ({"params": {"fast": 0, "slow": 5000}}, ["params.fast", "params.slow"]),
        ({"params": {"fats": 3}}, ["params.fats"]),
        ({"params": [1]}, ["params"]),
        ({"start_date": "2024-02-01"}, ["start_date"]),
        ({"symbols": "KRW-BTC"}, ["symbols"]),
        ({"costs": {"fee_rate": "0.1"}}, ["costs.fee_rate"]),
        ({"costs": {"fee": 0.1}}, ["costs.fee"]),
        ({"colour": "red"}, ["colour"]),
        ({"timezone": "Mars/Olympus"}, ["timezone"]),
        ({"initial_cash": None, "annual_days": 0}, ["initial_cash", "annual_days"]),
    ],
)
def test_a_bad_spec_is_422_with_every_field(trader, bars, engine, change, fields):
    answer = trader.json(SUBMIT, {**SPEC, **change}, method="POST")
    assert (answer.status_code, answer.mimetype) == (422, "application/problem+json")
    assert [error["field"] for error in answer.json["errors"]] == fields
    assert all(error["message"] and error["allowed"] for error in answer.json["errors"])
    assert count(engine) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"symbols": ["KRW-DOGE"]}, "no bars for KRW-DOGE 1h; available: KRW-BTC 1h from 2024-01-01 to 2024-01-21"),
        ({"symbols": ["KRW-BTC", "KRW-ETH"]}, "no bars for KRW-ETH 1h; available: KRW-ETH 1d from 2024-01-01"),
        ({"start_date": "2020-01-01", "end_date": "2020-02-01"}, "no bars for KRW-BTC 1h; available: KRW-BTC 1h"),
        ({"start_date": "0001-01-01", "end_date": "0001-01-01"}, "no bars"),
        ({"start_date": "9999-12-31", "end_date": "9999-12-31"}, "no bars"),
    ],
)
def test_missing_bars_are_400_with_what_there_is(trader, bars, engine, change, words):
    answer = trader.json(SUBMIT, {**SPEC, **change}, method="POST")
    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")
    assert words in answer.json["detail"]
    assert answer.json["errors"][0]["symbol"].startswith("KRW-")
    assert count(engine) == 0


def test_the_list_goes_by_pages(trader, engine, users):
    ids = [str(results.queue(engine, owner_id=users["tom"])) for _ in range(5)]
    first = trader.json("/api/v1/backtests?size=3").json
    assert [row["task_id"] for row in first["backtests"]] == ids[:1:-1]
    assert first["newer"] is None
    second = trader.json(f"/api/v1/backtests?size=3&after={first['older']}").json
    assert [row["task_id"] for row in second["backtests"]] == ids[1::-1]
    assert second["older"] is None
    back = trader.json(f"/api/v1/backtests?size=3&before={second['newer']}").json
    assert back["backtests"] == first["backtests"]
    assert trader.json("/api/v1/backtests?size=0").status_code == 422
    assert trader.json("/api/v1/backtests?after=nonsense").status_code == 400


def test_a_finished_one_gives_its_metrics(admin, completed):
    task_id = completed().rpartition("/")[2]
    detail = admin.json(f"/api/v1/backtests/{task_id}").json
    assert detail["status"] == "completed"
    assert detail["total_return_pct"] == 41.873
    assert detail["metadata"]["metrics"]["sortino"] == 2.401
    assert detail["record_count"] == 60


def test_strategies_and_data(trader, bars):
    strategies = trader.json("/api/v1/strategies").json["strategies"]
    assert [one["name"] for one in strategies] == list(STRATEGIES)
    assert strategies[0]["params"][0]["minimum"] == 1
    data = trader.json("/api/v1/data").json["data"]
    assert [(one["symbol"], one["timeframe"], one["rows"]) for one in data] == [
        ("KRW-BTC", "1h", 500),
        ("KRW-ETH", "1d", 40),
    ]
    assert data[0]["first"] == "2024-01-01T00:00:00Z"


def test_errors_are_problems(trader):
    for address, status in (
        ("/api/v1/nowhere", 404),
        (f"/api/v1/backtests/{uuid4()}", 404),
        ("/api/v1/backtests/async", 405),
    ):
        answer = trader.json(address)
        assert (answer.status_code, answer.mimetype) == (status, "application/problem+json"), address
        assert set(answer.json) >= {"type", "title", "status", "detail"}
        assert answer.json["status"] == status
