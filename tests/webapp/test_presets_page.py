"""Presets in the form of a new backtest: saved, loaded, shared, deleted; and the form checked while it is filled in."""

import json

import pytest

from storage_core.db import session_scope
from storage_core.models import Preset
from tests.webapp.page import read

FORM = {
    "strategy": "sma_cross",
    "fields_of": "sma_cross",
    "params.fast": "7",
    "params.slow": "21",
    "symbols": "KRW-BTC",
    "timeframe": "1h",
    "start_date": "2024-01-02",
    "end_date": "2024-01-20",
    "initial_cash": "5,000",
    "costs.fee_rate": "0.05",
    "costs.slippage_rate": "0.02",
    "direction": "long",
}


def form(**changes):
    return {**FORM, "preset_name": "Calm", **changes}


def kept(engine):
    with session_scope(engine) as session:
        return list(session.query(Preset).order_by(Preset.id))


@pytest.fixture
def calm(trader, bars, engine):
    assert trader.post("/presets", form()).status_code == 303
    return kept(engine)[0]


def test_a_preset_is_saved_from_the_form_and_chosen_afterwards(trader, bars, engine):
    answer = trader.post("/presets", form(), htmx=True)
    (preset,) = kept(engine)
    assert (preset.name, preset.strategy, preset.shared) == ("Calm", "sma_cross", False)
    assert preset.fields["params"] == {"fast": 7, "slow": 21}
    assert (preset.fields["initial_cash"], preset.fields["costs"]["fee_rate"]) == (5000, 0.0005)
    picker = read(answer, trader.app)
    assert "Saved as Calm." in picker.text
    assert [one.get("value") for one in picker.find("option") if "selected" in one.attrib] == [str(preset.id)]


def test_symbols_and_dates_that_are_wrong_do_not_matter(trader, bars, engine):
    answer = trader.post("/presets", form(symbols="", start_date="", end_date="soon", timeframe="2h"))
    assert answer.status_code == 303
    assert kept(engine)[0].fields["params"]["fast"] == 7


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"preset_name": ""}, "Was empty; allowed: 1 to 80"),
        ({"preset_name": "x" * 81}, "81 characters"),
        ({"preset_name": "../a\u202e"}, "allowed: 1 to 80"),
        ({"params.fast": "50"}, "params.fast"),
        ({"costs.fee_rate": "90"}, "costs.fee_rate"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_words(trader, bars, engine, wrong, words):
    answer = trader.post("/presets", form(**wrong), htmx=True)
    assert answer.status_code == 422
    assert words in read(answer, trader.app).error_of("preset-name")
    assert kept(engine) == []


def test_loading_fills_the_form_and_keeps_the_market(trader, calm):
    typed = {"preset": calm.id, "symbols": "KRW-ETH", "timeframe": "1d", "start_date": "2024-01-05", "params.fast": "9"}
    page = trader.get("/presets/load", query_string=typed, htmx=True)
    assert page.by_id("params-fast").get("value") == "7"
    assert page.by_id("costs-fee-rate").get("value") == "0.05"
    assert page.by_id("start-date").get("value") == "2024-01-05"
    chosen = [one.get("value") for one in page.find("input", name="symbols") if "checked" in one.attrib]
    assert chosen == ["KRW-ETH"]


def test_a_preset_has_an_address_of_its_own(trader, calm):
    page = trader.get(f"/backtests/new?preset={calm.id}")
    assert page.by_id("params-slow").get("value") == "21"
    assert page.find("option", value=str(calm.id))


def test_others_load_what_is_shared_and_delete_nothing(trader, admin, viewer, bars, engine):
    trader.post("/presets", form())
    trader.post("/presets", form(preset_name="For all", preset_shared="on"))
    own, shared = kept(engine)
    admin.get(f"/backtests/new?preset={own.id}", status=404)
    assert "For all (shared by somebody)" in admin.get(f"/backtests/new?preset={shared.id}").text
    assert admin.post("/presets/delete", {"preset": shared.id}).status_code == 403
    assert viewer.post("/presets", form()).status_code == 403
    viewer.get("/presets/load", query_string={"preset": shared.id}, status=403)
    assert len(kept(engine)) == 2


def test_deleting_takes_it_out_of_the_list(trader, calm, engine):
    answer = trader.post("/presets/delete", form(preset=str(calm.id)), htmx=True)
    assert "Deleted Calm." in read(answer, trader.app).text
    assert kept(engine) == []


@pytest.mark.parametrize("number", ["", "0", "99", "x", "-1", "9" * 30, "１"])
def test_numbers_of_no_preset_are_not_found(trader, bars, number):
    for address in ("/presets/load", "/backtests/new"):
        assert trader.client.get(address, query_string={"preset": number}).status_code == 404, address


def test_a_preset_whose_strategy_is_gone_says_so(trader, calm, engine):
    with session_scope(engine) as session:
        session.query(Preset).update({"strategy": "mine"})
    assert "mine, is not there any more" in trader.get(f"/backtests/new?preset={calm.id}", status=404).text


def test_the_form_is_checked_while_it_is_filled_in(trader, viewer, bars):
    assert json.loads(trader.post("/backtests/check", FORM).data) == {}
    wrong = {**FORM, "params.fast": "40", "costs.fee_rate": "x", "symbols": "KRW-ETH"}
    errors = json.loads(trader.post("/backtests/check", wrong).data)
    assert set(errors) == {"params-fast", "costs-fee-rate"}
    assert "allowed" in errors["costs-fee-rate"]
    missing = json.loads(trader.post("/backtests/check", {**FORM, "symbols": "KRW-ETH"}).data)
    assert "KRW-ETH" in missing["symbols"]
    assert viewer.post("/backtests/check", FORM).status_code == 403
