"""What must hold for any bars and any spec."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as hs

from engine.bars import Bars
from engine.catalog import STRATEGIES, get_strategy
from engine.positions import Bar, PositionManager
from engine.signals import Wish
from engine.simulation import simulate
from engine.spec import Costs, Exits, Sizing
from engine.trades import Trades
from engine.wishes import WishSource
from tests.engine.made import random_bars, spec_of
from tests.engine.planted import CATALOG

fraction = hs.sampled_from([None, 0.003, 0.01, 0.05])


@hs.composite
def worlds(draw):
    """(bars, spec): random prices, wishes, costs, sizes, exits, fill rule and direction."""
    rng = np.random.default_rng(draw(hs.integers(0, 2**32)))
    bars = random_bars(rng, draw(hs.integers(1, 150)), spread=draw(hs.sampled_from([0.001, 0.01, 0.05])))
    kind = draw(hs.sampled_from(["all_in", "fraction", "fixed_notional", "fixed_quantity"]))
    value = {"all_in": None, "fraction": 0.5, "fixed_notional": 2_000.0, "fixed_quantity": 11.0}[kind]
    spec = spec_of(
        "drawn",
        {
            "seed": draw(hs.integers(0, 2**32)),
            "density": draw(hs.sampled_from([0.02, 0.2, 0.5])),
            "hold": draw(hs.sampled_from([None, 1, 4])),
        },
        costs=Costs(
            fee_rate=draw(hs.sampled_from([0.0, 0.001, 0.02])), slippage_rate=draw(hs.sampled_from([0.0, 0.0002, 0.01]))
        ),
        sizing=Sizing(
            kind=kind,
            value=value,
            quantity_step=draw(hs.sampled_from([None, 0.01])),
            price_tick=draw(hs.sampled_from([None, 0.05])),
        ),
        exits=Exits(
            hold_bars=draw(hs.sampled_from([None, 3])),
            stop_loss=draw(fraction),
            take_profit=draw(fraction),
            trailing_stop=draw(fraction),
            stops_from=draw(hs.sampled_from(["entry_bar", "next_bar"])),
        ),
        fill=draw(hs.sampled_from(["next_open", "same_close"])),
        direction=draw(hs.sampled_from(["long", "short", "both"])),
    )
    return bars, spec


def same(first: Trades, second: Trades) -> bool:
    return all(
        np.array_equal(getattr(first, name), getattr(second, name), equal_nan=name == "exit_price")
        for name in Trades.__slots__
    )


@given(worlds())
@settings(max_examples=100, deadline=None)
def test_final_equity_is_initial_cash_plus_all_pnl(world):
    run = simulate(*world, strategies=CATALOG)
    scale = max(run.initial_cash, float(np.abs(run.equity).max()))
    assert run.final_equity == pytest.approx(run.initial_cash + run.trades.pnl.sum(), abs=1e-9 * scale)


@given(worlds(), hs.sampled_from([1, 2, 7, 64]))
@settings(max_examples=100, deadline=None)
def test_in_chunks_is_the_same_as_at_once(world, chunk):
    whole = simulate(*world, strategies=CATALOG)
    parts = simulate(*world, strategies=CATALOG, chunk_bars=chunk)
    assert np.array_equal(whole.equity, parts.equity)
    assert np.array_equal(whole.position, parts.position)
    assert same(whole.trades, parts.trades)
    assert (whole.best_return, whole.ambiguous_bars) == (parts.best_return, parts.ambiguous_bars)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_in_chunks_is_the_same_as_at_once(name):
    bars = random_bars(np.random.default_rng(4), 1500, spread=0.004)
    spec = spec_of(name, direction="both")
    whole, parts = simulate(bars, spec), simulate(bars, spec, chunk_bars=97)
    assert np.array_equal(whole.wishes, parts.wishes)
    assert np.array_equal(whole.equity, parts.equity)
    assert same(whole.trades, parts.trades)


@given(worlds(), hs.booleans())
@settings(max_examples=120, deadline=None)
def test_position_manager_makes_the_trades_of_simulate_to_the_last_bit(world, later):
    bars, spec = world
    run = simulate(bars, spec, strategies=CATALOG)
    manager = PositionManager(spec, hold_bars=spec.params["hold"])
    for number, wish in enumerate(run.wishes):
        columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
        bar = Bar(int(bars.timestamp[number]), *(float(column[number]) for column in columns))
        if later:
            manager.on_bar("USD-BTC", "drawn", bar)
            equity = manager.on_signal("USD-BTC", "drawn", Wish(int(wish)))
        else:
            equity = manager.on_bar("USD-BTC", "drawn", bar, Wish(int(wish)))
        assert equity == run.equity[number]
    assert same(manager.trades("USD-BTC", "drawn"), run.trades)


@pytest.mark.parametrize("name", STRATEGIES)
@given(seed=hs.integers(0, 2**32), cut=hs.integers(1, 250))
@settings(max_examples=15, deadline=None)
def test_no_signal_changes_when_later_bars_are_cut_off_or_altered(name, seed, cut):
    rng = np.random.default_rng(seed)
    bars, other = random_bars(rng, 250, spread=0.006), random_bars(rng, 250, spread=0.03)
    altered = Bars(*(np.r_[getattr(bars, column)[:cut], getattr(other, column)[cut:]] for column in Bars.__slots__))
    spec = spec_of(name)
    seen = [
        WishSource(get_strategy(name), some, spec.params).wishes(0, cut) for some in (bars, bars.slice(0, cut), altered)
    ]
    assert np.array_equal(seen[0], seen[1])
    assert np.array_equal(seen[0], seen[2])


@given(worlds(), hs.sampled_from([2.0**-20, 2.0, 2.0**30]))
@settings(max_examples=100, deadline=None)
def test_scaling_all_prices_leaves_fractions_unchanged(world, factor):
    bars, spec = world
    all_in = replace(spec, sizing=Sizing())  # a step, a tick or a fixed amount has a scale of its own
    scaled = Bars(
        bars.timestamp, *(factor * getattr(bars, name) for name in ("open", "high", "low", "close")), bars.volume
    )
    first, second = (simulate(some, all_in, strategies=CATALOG) for some in (bars, scaled))
    np.testing.assert_allclose(first.equity, second.equity, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(first.trades.return_, second.trades.return_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(first.trades.mae, second.trades.mae, rtol=1e-9, atol=1e-12)


@given(worlds(), hs.sampled_from(["fee_rate", "slippage_rate"]))
@settings(max_examples=100, deadline=None)
def test_costs_never_raise_the_return_of_the_same_trades(world, cost):
    bars, spec = world
    # Fixed quantities, and no stops: their levels hang on the entry price, and that on slippage.
    plain = replace(
        spec, sizing=Sizing(kind="fixed_quantity", value=1.0), exits=Exits(hold_bars=5), initial_cash=1e9, costs=Costs()
    )
    dearer = replace(plain, costs=replace(plain.costs, **{cost: 0.05}))
    cheap, dear = (simulate(bars, some, strategies=CATALOG) for some in (plain, dearer))
    assert np.array_equal(cheap.trades.entry_bar, dear.trades.entry_bar)
    assert (dear.trades.pnl <= cheap.trades.pnl).all()
    assert dear.final_equity <= cheap.final_equity


@given(worlds())
@settings(max_examples=100, deadline=None)
def test_trades_do_not_overlap_and_their_figures_hang_together(world):
    bars, spec = world
    run = simulate(bars, spec, strategies=CATALOG)
    trades, closed = run.trades, run.trades.closed
    assert (trades.entry_bar[1:] >= trades.exit_bar[:-1]).all()
    assert closed[:-1].all()  # only the last can be open
    assert (trades.quantity > 0).all()
    assert (trades.mae <= 0).all()
    assert (trades.mfe >= 0).all()
    assert (trades.exit_bar[closed] - trades.entry_bar[closed] == trades.hold_bars[closed]).all()
    assert (run.drawdown >= 0).all()
    held = np.zeros(len(bars))
    for row in range(len(trades)):
        end = trades.exit_bar[row] if closed[row] else len(bars)
        held[trades.entry_bar[row] : end] = trades.side[row] * trades.quantity[row]
    assert np.array_equal(held, run.position)
