"""The same trades and the same equity as vectorbt, backtesting.py, backtrader and a plain reference, on real bars."""

import hashlib
import json

import numpy as np
import pytest

from engine.catalog import get_strategy
from engine.kernels.records import ENTER, EXIT
from engine.simulation import simulate
from engine.spec import Costs, Exits
from engine.wishes import WishSource
from tests.engine.made import SHARED, real_bars, spec_of

GOLDEN = SHARED / "golden"
DATA = {"KRW-BTC_1h": "KRW-BTC_1h", "BTCUSDT_1d": "USDT-BTC_1d", "GOOG_1d": "USD-GOOG_1d"}
STRATEGIES = {
    "sma_cross_10_30": ("sma_cross", {"fast": 10, "slow": 30}),
    "donchian_20_10": ("donchian_breakout", {"entry": 20, "exit": 10}),
    "rsi14_mr_30_55": ("rsi_reversion", {"period": 14, "lower": 30.0, "upper": 55.0}),
}
VARIANTS = {
    "A_next_open": ("reference", "vectorbt", "backtesting", "backtrader"),
    "B_same_close": ("reference", "vectorbt", "backtesting", "backtrader"),
    "C_next_open_slip": ("reference", "vectorbt", "backtrader"),
    # A stop in these engines goes only after an exit that was already waiting for the open, as time does.
    "E_next_open_sl_tp": ("reference_signal_first", "backtesting"),
}

pytestmark = pytest.mark.skipif(not GOLDEN.exists(), reason="needs ../shared/golden")


def golden(data, strategy):
    return json.loads((GOLDEN / f"{data}__{strategy}.json").read_text())


def spec_for(strategy, variant, params):
    name, strategy_params = STRATEGIES[strategy]
    return spec_of(
        name,
        strategy_params,
        initial_cash=1e9,
        costs=Costs(fee_rate=params["fee"], slippage_rate=params["slip"]),
        exits=Exits(stop_loss=params["sl"], take_profit=params["tp"], stops_from="next_bar"),
        fill="same_close" if variant == "B_same_close" else "next_open",
    )


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("data", DATA)
def test_same_result_as_other_engines(data, strategy, variant):
    expected = golden(data, strategy)["variants"][variant]
    run = simulate(real_bars(DATA[data]), spec_for(strategy, variant, expected["params"]))
    trades, closed = run.trades, run.trades.closed
    for engine in VARIANTS[variant]:
        theirs = expected["engines"][engine]
        assert run.final_equity == pytest.approx(theirs["final"], rel=1e-9), engine
        assert int(closed.sum()) == theirs["closed_trades"]
        if variant != "B_same_close" or engine in ("reference", "vectorbt"):  # the others mark such a fill a bar later
            assert -100 * run.drawdown.max() == pytest.approx(theirs["equity"]["max_dd_pct"], rel=1e-7)
            for bar, _, equity in theirs["equity"]["samples"]:
                assert run.equity[bar] == pytest.approx(equity, rel=1e-9)
        if engine == "backtrader":  # it counts bars one earlier, and from another list
            continue
        shown = [*theirs["first_trades"], *theirs["last_trades"]]
        rows = (
            [*range(len(trades))][: len(theirs["first_trades"])],
            np.flatnonzero(closed)[-len(theirs["last_trades"]) :],
        )
        for row, trade in zip([*rows[0], *rows[1]], shown, strict=True):
            assert (trades.entry_bar[row], trades.exit_bar[row]) == (trade["entry_bar"], trade["exit_bar"])
            assert trades.entry_price[row] == pytest.approx(trade["entry_price"], rel=1e-12)
            assert trades.exit_price[row] == pytest.approx(trade["exit_price"], rel=1e-12)


@pytest.mark.parametrize("variant", ["A_next_open", "B_same_close", "C_next_open_slip"])
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("data", DATA)
def test_every_trade_of_vectorbt(data, strategy, variant):
    expected = golden(data, strategy)["variants"][variant]
    trades = simulate(real_bars(DATA[data]), spec_for(strategy, variant, expected["params"])).trades
    theirs = np.array([row for row in expected["all_trades_vectorbt"] if row[1] is not None], dtype=float)
    closed = trades.closed
    theirs = theirs[: int(closed.sum())]
    ours = np.column_stack([trades.entry_bar, trades.exit_bar, trades.entry_price, trades.exit_price, trades.quantity])
    np.testing.assert_allclose(ours[closed], theirs[:, :5], rtol=1e-9)
    np.testing.assert_allclose(trades.pnl[closed], theirs[:, 5], rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("data", DATA)
def test_the_same_signals_to_the_last_bar(data, strategy):
    info = golden(data, strategy)["variants"]["A_next_open"]["engines"]["reference"]["signal_info"]
    bars = real_bars(DATA[data])
    name, params = STRATEGIES[strategy]
    wishes = WishSource(get_strategy(name), bars, params).wishes(0, len(bars))
    for wish, kind in ((ENTER, "enter"), (EXIT, "exit")):
        assert hashlib.sha256((wishes & wish > 0).tobytes()).hexdigest() == info[f"sha256_{kind}"]
