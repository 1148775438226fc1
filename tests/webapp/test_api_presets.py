"""Presets by JSON."""

import pytest

BODY = {"name": "calm", "strategy": "sma_cross", "fields": {"params": {"fast": 7}, "costs": {"fee_rate": 0.0005}}}


def save(browser, status=200, **changes):
    answer = browser.json("/api/v1/presets", {**BODY, **changes}, method="POST")
    assert answer.status_code == status, answer.json
    return answer.json


def listed(browser, query=""):
    return [(one["name"], one["own"]) for one in browser.json(f"/api/v1/presets{query}").json["presets"]]


def test_saved_listed_replaced_and_deleted(trader):
    made = save(trader)
    assert made["fields"]["params"] == {"fast": 7, "slow": 30}
    assert made["fields"]["costs"] == {"fee_rate": 0.0005, "slippage_rate": 0.0002}
    assert not {"symbols", "timeframe", "start_date", "end_date", "timezone"} & set(made["fields"])
    again = save(trader, fields={})
    assert (again["id"], again["fields"]["params"]["fast"]) == (made["id"], 10)
    assert listed(trader) == [("calm", True)]
    assert listed(trader, "?strategy=macd_cross") == []
    assert trader.json(f"/api/v1/presets/{made['id']}", method="DELETE").json == {"id": made["id"], "name": "calm"}
    assert trader.json(f"/api/v1/presets/{made['id']}", method="DELETE").status_code == 404
    assert listed(trader) == []


def test_its_fields_and_a_market_are_a_backtest(trader, bars):
    fields = save(trader)["fields"]
    market = {"symbols": ["KRW-BTC"], "timeframe": "1h", "start_date": "2024-01-02", "end_date": "2024-01-09"}
    answer = trader.json("/api/v1/backtests/async", {**fields, **market}, method="POST")
    assert answer.status_code == 202


def test_others_see_only_what_is_shared_and_change_nothing(trader, admin, viewer):
    save(trader)
    shared = save(trader, name="for all", shared=True)
    assert listed(admin) == [("for all", False)] == listed(viewer)
    assert admin.json(f"/api/v1/presets/{shared['id']}", method="DELETE").status_code == 404
    assert viewer.json("/api/v1/presets", BODY, method="POST").status_code == 403


@pytest.mark.parametrize(
    ("wrong", "code", "field"),
    [
        ({"name": "a\u202eb"}, "invalid_request", "name"),
        ({"name": "   "}, "invalid_request", "name"),
        ({"strategy": "sma_cros"}, "invalid_spec", "strategy"),
        ({"fields": {"params": {"fast": 99}}}, "invalid_spec", "params.fast"),
        ({"fields": {"speed": 3}}, "invalid_spec", "speed"),
        ({"shared": "yes"}, "invalid_request", "shared"),
    ],
)
def test_what_is_wrong_is_named(trader, wrong, code, field):
    refused = save(trader, 422, **wrong)
    assert refused["code"] == code
    assert refused["errors"][0]["field"] == field
    assert listed(trader) == []
