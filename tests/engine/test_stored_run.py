"""Figures from what is stored of a run are the figures of the run itself."""

import numpy as np
import pytest

from engine.metrics import summarise
from engine.portfolio import combine
from engine.simulation import simulate
from engine.spec import Exits
from engine.stored_run import Closes, rebuilt
from tests.engine.made import random_bars, spec_of

SPECS = {
    "long": spec_of("sma_cross", {"fast": 3, "slow": 8}),
    "both ways": spec_of("donchian_breakout", {"entry": 4, "exit": 3}, direction="both"),
    "same close": spec_of("rsi_reversion", {"period": 5}, fill="same_close", exits=Exits(stop_loss=0.03, hold_bars=4)),
    "within a bar": spec_of("volume_long_candle", {"body_pct": 0.002}, exits=Exits(stop_loss=0.004, take_profit=0.004)),
    "no trades": spec_of("rsi_reversion", {"lower": 0.0, "upper": 100.0}),
}


def stored(simulation):
    bars, trades = simulation.bars, simulation.trades
    closed = trades.closed
    columns = {
        "entry_time": bars.timestamp[trades.entry_bar],
        "exit_time": np.where(closed, bars.timestamp[np.maximum(trades.exit_bar, 0)], -1),
        "side": trades.side,
    }
    names = ("entry_price", "exit_price", "quantity", "fee", "slippage", "pnl", "return_")
    return columns | {name: getattr(trades, name) for name in names}


def again(simulation, *, close=None):
    closes = Closes(simulation.bars.timestamp, simulation.bars.close if close is None else close)
    return rebuilt(closes, simulation.equity, stored(simulation), initial_cash=simulation.initial_cash)


def same(values, expected):
    """Equal but for rounding; None only where it is expected."""
    return values.keys() == expected.keys() and all(
        values[name] is value if value is None else values[name] == pytest.approx(value, rel=1e-12)
        for name, value in expected.items()
    )


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())
def test_the_figures_of_a_rebuilt_run_are_those_of_the_run(spec):
    runs = {f"USD-{n}": simulate(random_bars(np.random.default_rng(n), 700, step=60_000_000 * (n + 1)), spec)
            for n in range(3)}  # fmt: skip
    for chosen in (["USD-0"], ["USD-2", "USD-1"], list(runs)):
        originals = {symbol: runs[symbol] for symbol in chosen}
        rebuilt_runs = {symbol: again(run) for symbol, run in originals.items()}
        expected = summarise(originals, combine(originals))
        assert same(summarise(rebuilt_runs, combine(rebuilt_runs)), expected)


def test_positions_are_those_of_the_run():
    for spec in SPECS.values():
        run = simulate(random_bars(np.random.default_rng(5), 500), spec)
        np.testing.assert_allclose(again(run).position, run.position, rtol=1e-12)


def test_without_prices_the_figures_that_need_them_are_none_and_the_others_stay():
    run = simulate(random_bars(np.random.default_rng(2), 700), SPECS["long"])
    full = summarise({"A": run}, combine({"A": run}))
    blind = again(run, close=np.full(len(run.bars), np.nan))
    values = summarise({"A": blind}, combine({"A": blind}))
    unknown = {name for name in values if values[name] is None and full[name] is not None}
    assert unknown == {"exposure", "alpha", "beta", "buy_and_hold_return"}
    kept = values.keys() - unknown
    assert same({name: values[name] for name in kept}, {name: full[name] for name in kept})


def test_a_trade_between_bars_is_refused():
    run = simulate(random_bars(np.random.default_rng(3), 300), SPECS["long"])
    columns = stored(run)
    columns["entry_time"] = columns["entry_time"] + 1
    with pytest.raises(ValueError, match="no bar's"):
        rebuilt(Closes(run.bars.timestamp, run.bars.close), run.equity, columns, initial_cash=run.initial_cash)
