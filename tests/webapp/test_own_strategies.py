"""People's own strategies, as the workers list them, in the form, the list and the API."""

from dataclasses import asdict

import pytest
from sqlalchemy import select

from engine.params import ParamSpec
from storage_core import custom_strategies
from storage_core.db import session_scope
from storage_core.models import Backtest, CustomStrategy
from tests.webapp.test_new_backtest import FORM

DEPTH = ParamSpec(name="depth", type="int", default=3, minimum=1, maximum=9, label="Depth", help="How deep to look.")
MOOD = ParamSpec(
    name="mood", type="choice", default="calm", choices=("calm", "bold"), label="Mood", help="How to trade."
)


@pytest.fixture
def listed(engine) -> None:
    common = {"help": "Buys the <b>dip</b>.", "source": "strategies/dip.py", "sha256": "cd" * 32}
    params = {param.name: asdict(param) for param in (DEPTH, MOOD)}
    with session_scope(engine) as session:
        own = CustomStrategy(name="dip", label="Dip buyer", params=params, error=None, **common)
        broken = CustomStrategy(name="broken", label="Broken", params={}, error="no signals", **common)
        custom_strategies.publish(session, [own, broken])


def test_it_has_its_fields_and_its_limits(trader, bars, listed, engine):
    page = trader.get("/strategies/dip/fields", htmx=True)
    assert "Buys the <b>dip</b>." in page.text
    assert page.by_id("params-depth").get("value") == "3"
    assert [option.get("value") for option in page.by_id("params-mood")] == ["calm", "bold"]
    form = {name: value for name, value in FORM.items() if not name.startswith("params.")}
    form |= {"strategy": "dip", "fields_of": "dip", "params.depth": "4", "params.mood": "bold"}
    refused = trader.post("/backtests", {**form, "params.depth": "10"}, htmx=True)
    assert "Was 10; allowed: a whole number from 1 to 9." in refused.get_data(as_text=True)
    place = trader.post("/backtests", form).location
    with session_scope(engine) as session:
        assert session.scalars(select(Backtest)).one().params == {"depth": 4, "mood": "bold"}
    assert "Dip buyer on KRW-BTC" in trader.get(place).text
    assert "4, bold" in trader.get("/backtests").text
    dip = next(one for one in trader.json("/api/v1/strategies").json["strategies"] if one["name"] == "dip")
    assert (dip["own"], dip["source"], dip["sha256"]) == (True, "strategies/dip.py", "cd" * 32)
    assert "Your own: strategies/dip.py · sha256 cdcdcdcdcdcd…" in page.text


def test_a_broken_one_cannot_be_chosen(trader, bars, listed):
    trader.get("/strategies/broken/fields", status=404)
    assert (
        "broken cannot be loaded: no signals (strategies/dip.py · sha256 cdcdcdcdcdcd…)"
        in trader.get("/backtests/new").text
    )
    [broken] = trader.json("/api/v1/strategies").json["broken"]
    assert (broken["name"], broken["error"]) == ("broken", "no signals")
    assert not trader.get("/backtests/new").find("option", value="broken")
    assert trader.post("/backtests", {**FORM, "strategy": "broken"}).status_code == 422
