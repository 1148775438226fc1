"""Bars by the API: sent, fetched, followed."""

import pytest

from storage_core import bar_upload, jobs
from storage_core.bar_errors import BarsBusy
from storage_core.db import session_scope
from tests.webapp.test_data import csv, sent
from webapp.extensions import bar_store

PLACE = "/api/v1/data?symbol=KRW-XRP&timeframe=1h"


def post(browser, address, body, kind="text/csv"):
    return browser.client.post(address, data=body, headers={"X-CSRFToken": browser.token(), "Content-Type": kind})


def test_a_file_is_stored_once_and_told(trader, bars):
    dry = post(trader, f"{PLACE}&dry_run=true", csv())
    assert (dry.status_code, dry.json["added"], dry.json["stored"]) == (200, 5, False)
    assert len(bars.inventory()) == 2
    stored = post(trader, PLACE, csv())
    assert (stored.json["added"], stored.json["quality"], stored.json["stored"]) == (5, "good", True)
    again = post(trader, PLACE, csv(count=7))
    assert (again.json["added"], again.json["same"], again.json["conflicts"]) == (2, 5, 0)
    assert len(bars.read("KRW-XRP", "1h")) == 7


def test_bars_that_differ_are_a_conflict_until_an_admin_decides(trader, admin, bars):
    post(trader, PLACE, csv())
    refused = post(trader, PLACE, csv(close=101.5))
    assert (refused.status_code, refused.json["code"]) == (409, "bars_differ")
    assert refused.json["examples"][0]["new"]["close"] == 101.5
    assert post(trader, f"{PLACE}&wins=new", csv(close=101.5)).status_code == 403
    assert post(trader, f"{PLACE}&wins=stored", csv(close=101.5)).json["conflicts"] == 5
    assert post(admin, f"{PLACE}&wins=new", csv(close=101.5)).status_code == 200
    assert bars.read("KRW-XRP", "1h").close[0] == 101.5


@pytest.mark.parametrize("close", [101.0, 101.5])
def test_bars_that_came_while_the_file_was_looked_at_are_compared_too(trader, bars, monkeypatch, close):
    report = bar_upload.report

    def then_others_come(store, path, looked, reading):
        found = report(store, path, looked, reading)
        first = {name: column[:3] for name, column in found.checked.bars.columns().items()}
        store.merge("KRW-XRP", "1h", {**first, "close": first["close"] * 0 + close})
        return found

    monkeypatch.setattr(bar_upload, "report", then_others_come)
    told = post(trader, PLACE, csv(close=101.0))
    if close == 101.0:
        assert (told.json["added"], told.json["same"]) == (2, 3)
    else:
        assert (told.status_code, told.json["code"]) == (409, "bars_differ")
        assert len(bars.read("KRW-XRP", "1h")) == 3


def test_bars_that_others_change_again_and_again_are_told_on_the_page_and_to_programs(app, trader, admin, monkeypatch):
    def busy(symbol, timeframe, *_bars, **_wins):
        raise BarsBusy(symbol, timeframe)

    with app.app_context():
        monkeypatch.setattr(bar_store(), "merge_planned", busy)
    told = post(trader, PLACE, csv())
    assert (told.status_code, told.json["code"]) == (409, "bars_busy")
    saved = admin.post(f"{sent(admin, csv())}/save", {"symbol": "KRW-XRP", "timeframe": "1h"})
    assert saved.status_code == 409
    assert "try again in a moment" in saved.get_data(as_text=True)


@pytest.mark.parametrize(
    ("address", "body", "kind", "status", "said"),
    [
        (PLACE, csv(), "application/json", 415, "text/csv"),
        (PLACE, b"", "text/csv", 422, "empty"),
        (PLACE, b"PK\x03\x04", "text/csv", 422, "zip archive"),
        (PLACE, csv() + b"soon,1,1,1,1,1\n", "text/csv", 422, "row 6: the time cannot be read"),
        ("/api/v1/data?symbol=x&timeframe=1h", csv(), "text/csv", 422, "symbol"),
        ("/api/v1/data?symbol=KRW-XRP&timeframe=2h", csv(), "text/csv", 422, "timeframe"),
    ],
)
def test_what_cannot_be_stored_says_why(trader, bars, address, body, kind, status, said):
    answer = post(trader, address, body, kind)
    assert answer.status_code == status
    assert said in answer.get_data(as_text=True)
    assert len(bars.inventory()) == 2


def test_a_fetch_from_asking_to_cancelling(trader, viewer, engine):
    asked = {"exchange": "upbit", "symbol": "KRW-BTC", "timeframe": "1h", "start": "2024-01-01"}
    made = trader.json("/api/v1/data/fetch", asked, method="POST")
    assert (made.status_code, made.json["status"], made.headers["Location"]) == (
        202, "queued", f"/api/v1/jobs/{made.json['job_id']}",
    )  # fmt: skip
    place = made.headers["Location"]
    assert trader.json(place).json == made.json
    assert viewer.json(place).status_code == 404
    assert trader.json(f"{place}/cancel", method="POST").json["status"] == "cancelled"
    again = trader.json(f"{place}/cancel", method="POST")
    assert (again.status_code, again.json["code"]) == (409, "job_ended")
    assert viewer.json("/api/v1/data/fetch", asked, method="POST").status_code == 403


def test_a_wrong_fetch_names_its_field(trader, engine):
    asked = {"exchange": "upbt", "symbol": "KRW-BTC", "timeframe": "1h", "start": "2024-01-01"}
    refused = trader.json("/api/v1/data/fetch", asked, method="POST")
    assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, "exchange")
    with session_scope(engine) as session:
        assert jobs.listed(session) == []
