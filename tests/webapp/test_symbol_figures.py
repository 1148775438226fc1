"""Figures of some symbols: those that a run of these symbols alone gives."""

import pytest

from storage_core import backtests
from storage_core.bar_store import BarStore
from storage_core.db import session_scope
from storage_core.models import Backtest
from tests.webapp import results
from webapp.symbol_figures import can_choose, changed_bars, changed_symbols, figures_of

SYMBOLS = ["KRW-BTC", "KRW-ETH", "KRW-XRP"]
PARTS = {
    "both ways": {"params": {"fast": 6, "slow": 20}, "direction": "both"},
    "stops": {"params": {"fast": 3, "slow": 9}, "exits": {"stop_loss": 0.01, "take_profit": 0.02}, "annual_days": 252},
    "last bars": {"params": {"fast": 6, "slow": 20}, "candle_size": 200, "fill": "same_close"},
}


@pytest.fixture
def store(settings) -> BarStore:
    """Three symbols; the last one begins later and has fewer bars."""
    store = BarStore(settings.bars_dir)
    for seed, symbol in enumerate(SYMBOLS):
        bars = results.bars(500, seed=seed)
        store.merge(symbol, "1h", bars.between(int(bars.timestamp[40 * seed]), int(bars.timestamp[-1])))
    return store


def ran(engine, settings, symbols, **changes) -> Backtest:
    task_id = results.computed(engine, settings, owner_id=None, symbols=symbols, **changes)
    with session_scope(engine) as session:
        return backtests.get(session, task_id)


@pytest.mark.parametrize("changes", PARTS.values(), ids=PARTS.keys())
def test_they_are_the_figures_of_a_run_of_these_symbols(engine, settings, store, changes):
    whole = ran(engine, settings, SYMBOLS, **changes)
    assert whole.trade_count > 10
    for chosen in (SYMBOLS, SYMBOLS[1:], SYMBOLS[:1]):
        alone = whole if chosen == SYMBOLS else ran(engine, settings, chosen, **changes)
        figures = figures_of(settings, store, whole, chosen)
        expected = alone.metadata_["metrics"]
        assert figures.keys() == expected.keys()
        for name, value in expected.items():
            same = value if value is None or isinstance(value, str) else pytest.approx(value, rel=1e-9)
            assert figures[name] == same, name


def test_other_bars_are_noticed_and_take_only_what_needs_prices(engine, settings, store):
    whole = ran(engine, settings, SYMBOLS[:2])
    assert changed_bars(store, whole) == []
    full = figures_of(settings, store, whole, ["KRW-ETH"])
    changed = results.bars(500, seed=1)
    changed.close[100] *= 1.0001
    store.merge("KRW-ETH", "1h", changed, wins="new")
    assert changed_bars(store, whole) == ["KRW-ETH"]
    figures = figures_of(settings, store, whole, ["KRW-ETH"])
    unknown = {name for name, value in figures.items() if value is None and full[name] is not None}
    assert unknown == {"buy_and_hold_return_pct", "exposure_pct", "alpha_pct", "beta"}
    assert figures["sharpe"] == full["sharpe"]
    store.delete("KRW-BTC", "1h")
    assert changed_bars(store, whole) == ["KRW-BTC", "KRW-ETH"]


def test_bars_outside_of_the_result_may_change(engine, settings, store):
    whole = ran(engine, settings, SYMBOLS[:1], end_date="2024-01-10")
    assert changed_bars(store, whole) == []
    later = results.bars(500, seed=0)
    later.close[-5] *= 1.0001
    store.merge("KRW-BTC", "1h", later, wins="new")
    assert changed_bars(store, whole) == []


def test_which_symbols_count_after_a_change(engine, settings, store):
    whole = ran(engine, settings, SYMBOLS)
    assert can_choose(whole)
    assert changed_symbols(whole, {}) == SYMBOLS
    assert changed_symbols(whole, {"KRW-ETH": False}) == ["KRW-BTC", "KRW-XRP"]
    whole.metadata_ = {**whole.metadata_, "active_symbols": {"symbols": ["KRW-XRP"], "metrics": {}}}
    assert changed_symbols(whole, {"KRW-BTC": True}) == ["KRW-BTC", "KRW-XRP"]
    assert changed_symbols(whole, {"KRW-XRP": False}) == []
    assert not can_choose(ran(engine, settings, SYMBOLS[:1]))
