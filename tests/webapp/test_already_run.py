"""The form offers what was run before, and does as it is told."""

import pytest
from sqlalchemy import func, select

from engine.catalog import STRATEGIES
from storage_core import backtests
from storage_core.already_run import data_fingerprints, run_key
from storage_core.bar_store import BarStore
from storage_core.db import session_scope
from storage_core.models import Backtest
from storage_core.sources import engine_sha256, shipped_strategy_sha256
from tests.webapp import results

FORM = {
    "strategy": "sma_cross",
    "fields_of": "sma_cross",
    "params.fast": "24",
    "params.slow": "96",
    "symbols": ["KRW-BTC"],
    "timeframe": "1h",
    "start_date": "2024-01-01",
    "end_date": "2024-01-20",
}


@pytest.fixture
def done(engine, settings, users):
    """A finished backtest of tom's of what FORM asks for, with the key that a worker would store."""
    task_id = results.complete(engine, settings, owner_id=users["tom"], end_date="2024-01-20", initial_cash=10_000)
    with session_scope(engine) as session:
        row = backtests.get(session, task_id)
        strategy = shipped_strategy_sha256(STRATEGIES["sma_cross"].signals)
        data = data_fingerprints(BarStore(settings.bars_dir), row.spec)
        row.run_key = run_key(row.spec, strategy_sha256=strategy, engine_sha256=engine_sha256(), data=data)
    return task_id


def count(engine):
    with session_scope(engine) as session:
        return session.scalar(select(func.count()).select_from(Backtest))


@pytest.mark.parametrize("htmx", [True, False])
def test_a_hit_is_offered_with_its_figures_and_two_ways_to_go_on(trader, engine, done, htmx):
    answer = trader.post("/backtests", FORM, htmx=htmx)
    assert answer.status_code == 200
    html = answer.get_data(as_text=True)
    assert f'href="/backtests/{done}">Open that result' in html
    assert "Finished now." in html
    assert all(figure in html for figure in ("+41.87%", "1.58", "14.55%", "60 trades"))
    assert 'name="again" value="yes">Run it anyway' in html
    assert html.index('id="run"') < html.index('name="again"')  # what the Enter key presses is the first
    assert count(engine) == 1


def test_run_it_anyway_runs_it(trader, engine, done):
    assert trader.post("/backtests", {**FORM, "again": "yes"}).status_code == 303
    assert count(engine) == 2


@pytest.mark.parametrize("change", [{"params.fast": "25"}, {"end_date": "2024-01-19"}, {"costs.fee_rate": "0.07"}])
def test_another_request_is_run_without_a_question(trader, engine, done, change):
    assert trader.post("/backtests", {**FORM, **change}).status_code == 303
    assert count(engine) == 2


def test_other_bars_are_a_miss(trader, engine, settings, done):
    BarStore(settings.bars_dir).merge("KRW-BTC", "1h", results.bars(200, seed=9), wins="new")
    assert trader.post("/backtests", FORM).status_code == 303


def test_what_others_ran_is_not_told(engine, users, done, app):
    from tests.webapp.conftest import Browser

    with session_scope(engine) as session:
        backtests.get(session, done).owner_id = users["ada"]
    assert Browser(app).log_in(users["tom"]).post("/backtests", FORM).status_code == 303
