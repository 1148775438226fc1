"""The page of strategies: each with its rule, limits, source, presets and use."""

from storage_core import custom_strategies, presets
from storage_core.db import session_scope
from storage_core.models import CustomStrategy
from tests.workers.examples import spec


def section(page, name):
    found = page.by_id(name)
    return " ".join(" ".join(found.itertext()).split())


def test_every_shipped_strategy_is_there_with_its_params(viewer):
    from engine.catalog import STRATEGIES

    page = viewer.get("/strategies")
    for strategy in STRATEGIES.values():
        text = section(page, strategy.name)
        assert strategy.label in text
        assert strategy.help in text
        assert all(param.label in text for param in strategy.params)
        assert f"engine/strategies/{strategy.name}.py" in text
        assert "Run it" not in text


def test_how_often_it_ran_and_what_the_last_lookahead_check_said(trader, completed):
    assert "no run yet" in section(trader.get("/strategies"), "sma_cross")
    completed(strategy="sma_cross")
    completed(strategy="sma_cross")
    text = section(trader.get("/strategies"), "sma_cross")
    assert "Completed runs 2 · the last one" in text
    assert "passed in the last run" in text
    assert "Run it" in text


def test_a_broken_strategy_of_ones_own_is_named_with_the_reason(trader, engine):
    with session_scope(engine) as session:
        session.add(
            CustomStrategy(
                name="mine", label="Mine", help="", params={}, source="mine.py", sha256="ab" * 32, error="no <signals>"
            )
        )
        assert [one.name for one in custom_strategies.listed(session)] == ["mine"]
    page = trader.get("/strategies")
    assert "mine cannot be loaded: no <signals>" in page.text
    assert page.by_id("mine") is None


def test_presets_that_the_person_may_load_are_linked(trader, engine, users):
    with session_scope(engine) as session:
        presets.save(session, owner_id=users["tom"], name="calm", spec=spec())
        presets.save(session, owner_id=users["ada"], name="hers", spec=spec())
        presets.save(session, owner_id=users["ada"], name="for all", spec=spec(), shared=True)
    page = trader.get("/strategies")
    assert "Presets calm , for all" in section(page, "sma_cross")


def test_the_code_of_a_shipped_strategy_can_be_read(viewer):
    link = viewer.get("/strategies").find("a", href="/strategies/sma_cross/source")[0]
    assert "".join(link.itertext()) == "engine/strategies/sma_cross.py"
    answer = viewer.client.get(link.get("href"))
    assert answer.mimetype == "text/plain"
    assert "def signals(" in answer.get_data(as_text=True)
    viewer.get("/strategies/nothing/source", status=404)
