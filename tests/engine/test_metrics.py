"""Metrics computed by hand, the known wrong answers avoided, and figures of other engines reached."""

import json
import math

import numpy as np
import pytest

from engine import statistics as st
from engine.bars import Bars
from engine.metrics import METRICS, summarise, summarise_symbol
from engine.portfolio import combine
from engine.simulation import simulate
from engine.spec import Costs, Exits
from tests.engine.made import SHARED, flat_bars, random_bars, real_bars, spec_of
from tests.engine.planted import CATALOG

DAY = 86_400_000_000
FREE = Costs(fee_rate=0.0, slippage_rate=0.0)


def run(closes, plan, *, step=DAY, costs=FREE, **fields):
    spec = spec_of("at", {"plan": plan, "hold": None}, costs=costs, initial_cash=1000.0, **fields)
    return simulate(flat_bars(closes, step=step), spec, strategies=CATALOG)


def metrics(*runs, annual_days=365):
    named = {f"USD-{number}": simulation for number, simulation in enumerate(runs)}
    return summarise(named, combine(named), annual_days=annual_days)


def test_every_metric_is_there_and_no_other():
    assert list(metrics(run([10.0, 11.0, 12.0], "enter 0"))) == list(METRICS)


def test_a_single_loss_of_ten_percent_is_a_drawdown_of_ten_percent():
    values = metrics(run([10.0, 10.0, 9.0, 9.0], "enter 0, exit 1"))
    assert values["max_drawdown"] == pytest.approx(0.1)
    assert values["total_return"] == pytest.approx(-0.1)
    assert values["win_rate"] == 0.0
    assert values["longest_losing_streak"] == 1


def test_plus_fifty_and_twice_minus_fifty_is_a_drawdown_of_75_percent():
    closes = [10.0, 10.0, 15.0, 15.0, 7.5, 7.5, 3.75, 3.75]
    values = metrics(run(closes, "enter 0, exit 1, enter 2, exit 3, enter 4, exit 5"))
    assert values["max_drawdown"] == pytest.approx(0.75)
    assert values["trade_count"] == 3
    assert values["average_trade"] == pytest.approx((0.5 - 0.5 - 0.5) / 3)
    assert values["best_trade"] == pytest.approx(0.5)
    assert values["worst_trade"] == pytest.approx(-0.5)
    assert values["win_rate"] == pytest.approx(1 / 3)
    assert values["payoff_ratio"] == pytest.approx(1.0)
    assert values["kelly"] == pytest.approx(1 / 3 - 2 / 3)
    assert values["profit_factor"] == pytest.approx(500 / (750 + 375))
    assert values["expectancy"] == pytest.approx((500 - 750 - 375) / 3)
    assert values["longest_losing_streak"] == 2
    pnl = [500, -750, -375]
    assert values["sqn"] == pytest.approx(math.sqrt(3) * np.mean(pnl) / np.std(pnl, ddof=1))


TRADE_METRICS = (
    "win_rate", "average_trade", "best_trade", "worst_trade", "average_win", "average_loss", "payoff_ratio",
    "profit_factor", "expectancy", "sqn", "kelly", "average_hold_bars", "longest_losing_streak", "break_even_cost",
)  # fmt: skip


def test_without_trades_there_is_nothing_to_say_about_trades():
    simulation = run([10.0, 11.0, 9.0], "exit 0")
    values = metrics(simulation)
    assert values["trade_count"] == 0
    assert all(values[name] is None for name in TRADE_METRICS)
    assert (values["total_return"], values["max_drawdown"], values["fees"]) == (0.0, 0.0, 0.0)
    assert values["sharpe"] is None
    assert values["max_drawdown_start"] is None
    row = summarise_symbol(simulation)
    assert (row["total_signals"], row["winning_signals"], row["losing_signals"], row["total_pnl"]) == (0, 0, 0, 0.0)
    assert all(row[name] is None for name in ("win_rate", "avg_return", "max_return", "min_return", "avg_hold_bars"))


def test_an_open_trade_counts_but_has_no_outcome_yet():
    values = metrics(run([10.0, 10.0, 12.0], "enter 0", costs=Costs(fee_rate=0.01, slippage_rate=0.0)))
    assert values["trade_count"] == 1
    assert values["win_rate"] is None
    assert values["fees"] == pytest.approx(0.01 * 1000 / 1.01)
    assert values["total_return"] == pytest.approx(1.2 / 1.01 - 1)


def test_returns_per_bar_by_hand():
    closes = [10.0, 10.0, 11.0, 9.9, 12.87]
    values = metrics(run(closes, "enter 0"))
    returns = np.array([0.0, 0.0, 0.1, -0.1, 0.3])
    year = 4 / (4 / 365)  # four days from the first to the last bar
    assert values["volatility"] == pytest.approx(np.std(returns, ddof=1) * math.sqrt(year))
    assert values["sharpe"] == pytest.approx(np.mean(returns) / np.std(returns, ddof=1) * math.sqrt(year))
    downside = math.sqrt(0.1**2 / 5)
    assert values["sortino"] == pytest.approx(np.mean(returns) / downside * math.sqrt(year))
    assert values["omega"] == pytest.approx(0.4 / 0.1)
    assert values["cagr"] == pytest.approx(1.287 ** (365 / 4) - 1)
    assert values["calmar"] == pytest.approx(values["cagr"] / 0.1)
    assert values["var_95"] == pytest.approx(np.quantile(returns, 0.05))
    assert values["cvar_95"] == pytest.approx(-0.1)
    assert values["tail_ratio"] == pytest.approx(np.quantile(returns, 0.95) / -np.quantile(returns, 0.05))
    away = returns - returns.mean()
    assert values["skew"] == pytest.approx(np.mean(away**3) / np.mean(away**2) ** 1.5)
    assert values["kurtosis"] == pytest.approx(np.mean(away**4) / np.mean(away**2) ** 2 - 3)


def test_buy_and_hold_against_itself_has_beta_one_and_no_alpha():
    simulation = run([10.0, 10.0, 12.0, 9.0, 14.0], "enter 0", fill="same_close")
    values = metrics(simulation)
    assert values["beta"] == pytest.approx(1.0)
    assert values["alpha"] == pytest.approx(0.0, abs=1e-9)
    assert values["buy_and_hold_return"] == pytest.approx(0.4)


def test_drawdowns_by_hand():
    #  equity:  1000  1000 1200  900  1200  1100  1000  1300
    closes = [10.0, 10.0, 12.0, 9.0, 12.0, 11.0, 10.0, 13.0]
    values = metrics(run(closes, "enter 0"))
    assert values["max_drawdown"] == pytest.approx(0.25)
    assert values["max_drawdown_start"] == 2 * DAY
    assert values["max_drawdown_end"] == 3 * DAY
    assert values["max_drawdown_days"] == pytest.approx(3.0)  # from day 4 until the peak is passed on day 7
    assert values["average_drawdown"] == pytest.approx((0.25 + 1 / 6) / 2)
    assert values["average_drawdown_days"] == pytest.approx(2.5)
    depths = [0.25, 1 - 11 / 12, 1 - 10 / 12]
    assert values["ulcer_index"] == pytest.approx(math.sqrt(sum(depth**2 for depth in depths) / 8))


def test_a_drawdown_that_lasts_to_the_end_and_one_from_the_first_bar():
    values = metrics(run([10.0, 10.0, 9.0, 8.0], "enter 0"))
    assert (values["max_drawdown_start"], values["max_drawdown_end"]) == (1 * DAY, 3 * DAY)
    assert values["max_drawdown_days"] == pytest.approx(2.0)
    at_once = metrics(run([10.0, 9.0], "enter 0", fill="same_close", costs=Costs(fee_rate=0.1, slippage_rate=0.0)))
    assert at_once["max_drawdown_start"] == 0


def test_costs_turnover_and_break_even():
    closes = [10.0, 10.0, 12.0, 12.0]
    simulation = run(closes, "enter 0, exit 1", costs=Costs(fee_rate=0.01, slippage_rate=0.02))
    values = metrics(simulation)
    trades = simulation.trades
    value = trades.quantity[0] * (trades.entry_price[0] + trades.exit_price[0])
    assert values["fees"] == pytest.approx(0.01 * value)
    assert values["slippage"] == pytest.approx(trades.quantity[0] * (0.2 + 0.24))
    assert values["turnover"] == pytest.approx(value / simulation.equity.mean())
    assert values["break_even_cost"] == pytest.approx((trades.pnl[0] + values["fees"] + values["slippage"]) / value)
    gross = trades.quantity[0] * 2.0
    assert trades.pnl[0] + values["fees"] + values["slippage"] == pytest.approx(gross)


def test_exposure_and_time_in_market():
    values = metrics(run([10.0] * 10, "enter 1, exit 5"))
    assert values["time_in_market"] == pytest.approx(0.4)
    assert values["exposure"] == pytest.approx(0.4)
    assert values["average_hold_bars"] == 4


def test_a_year_is_counted_on_the_calendar():
    stamps = np.arange(25, dtype=np.int64) * DAY // 24
    assert st.bars_in_a_year(stamps, 365) == pytest.approx(24 * 365)
    with_gap = np.array([0, 1, 2, 9]) * DAY
    assert st.bars_in_a_year(with_gap, 365) == pytest.approx(3 / (9 / 365))
    two_sessions = np.array([0, 1, 2, 24, 25, 26]) * (DAY // 24)
    assert st.bars_in_a_year(two_sessions, 252) == pytest.approx(3 * 252)
    assert st.bars_in_a_year(stamps[:1], 365) is None


def test_two_symbols_add_up_over_the_union_of_their_timestamps():
    first = run([10.0, 10.0, 12.0, 13.0], "enter 0")
    late = Bars(*(getattr(flat_bars([5.0, 5.0, 4.0], step=DAY), name) for name in Bars.__slots__))
    late = Bars(late.timestamp + 2 * DAY, late.open, late.high, late.low, late.close, late.volume)
    spec = spec_of("at", {"plan": "enter 0", "hold": None}, costs=FREE, initial_cash=1000.0)
    second = simulate(late, spec, strategies=CATALOG)
    curve = combine({"A": first, "B": second})
    assert (curve.timestamp // DAY).tolist() == [0, 1, 2, 3, 4]
    assert curve.equity.tolist() == pytest.approx([2000, 2000, 2200, 2300, 2100])
    assert curve.initial_cash == 2000.0
    assert curve.drawdown[-1] == pytest.approx(1 - 2100 / 2300)
    values = summarise({"A": first, "B": second}, curve)
    assert values["trade_count"] == 2
    assert values["buy_and_hold_return"] == pytest.approx((0.3 - 0.2) / 2)
    assert values["time_in_market"] == pytest.approx(4 / 5)
    assert values["total_return"] == pytest.approx(0.05)


def test_losing_streaks_run_in_order_of_exit_over_all_symbols():
    loss_win = run([10.0, 10.0, 9.0, 9.0, 9.0, 12.0, 12.0], "enter 0, exit 1, enter 3, exit 4")
    loss_late = run([10.0, 10.0, 10.0, 9.0, 9.0, 9.0, 9.0], "enter 1, exit 2")
    assert metrics(loss_win, loss_late)["longest_losing_streak"] == 2


def test_the_symbol_s_row():
    simulation = run([10.0, 10.0, 15.0, 15.0, 7.5, 7.5], "enter 0, exit 1, enter 2, exit 3")
    row = summarise_symbol(simulation)
    assert row == {
        "win_rate": 0.5,
        "avg_return": pytest.approx(0.0),
        "max_return": pytest.approx(0.5),
        "min_return": pytest.approx(-0.5),
        "max_drawdown": pytest.approx(0.5),
        "avg_hold_bars": 1.0,
        "total_signals": 2,
        "winning_signals": 1,
        "losing_signals": 1,
        "total_pnl": pytest.approx(-250.0),
        "total_pnl_pct": pytest.approx(-0.25),
    }


def test_stored_names():
    assert METRICS["total_return"].stored_name == "total_return_pct"
    assert METRICS["sharpe"].stored_name == "sharpe"
    assert all(metric.name == name for name, metric in METRICS.items())


@pytest.mark.parametrize("seed", range(30))
def test_never_nan_or_infinite_whatever_the_run(seed):
    rng = np.random.default_rng(seed)
    bars = random_bars(rng, int(rng.integers(1, 60)), spread=0.2)
    spec = spec_of("drawn", {"seed": seed, "density": 0.4, "hold": None}, direction="both", exits=Exits(stop_loss=0.1))
    simulation = simulate(bars, spec, strategies=CATALOG)
    values = metrics(simulation, annual_days=int(rng.choice([252, 365])))
    assert all(value is None or math.isfinite(value) for value in values.values())


@pytest.mark.parametrize("data", ["KRW-BTC_1h", "BTCUSDT_1d", "GOOG_1d"])
def test_figures_of_vectorbt_and_backtesting_py(data):
    path = SHARED / "golden" / f"{data}__sma_cross_10_30.json"
    if not path.exists():
        pytest.skip("needs ../shared/golden")
    engines = json.loads(path.read_text())["variants"]["A_next_open"]["engines"]
    bars = real_bars({"KRW-BTC_1h": "KRW-BTC_1h", "BTCUSDT_1d": "USDT-BTC_1d", "GOOG_1d": "USD-GOOG_1d"}[data])
    spec = spec_of("sma_cross", initial_cash=1e9, costs=Costs(fee_rate=0.001, slippage_rate=0.0))
    values = metrics(simulate(bars, spec))
    vectorbt, other = engines["vectorbt"]["stats"], engines["backtesting"]["stats"]
    # Theirs is annualised by a fixed number of bars, ours by the bars there are.
    scale = math.sqrt(st.bars_in_a_year(bars.timestamp, 365) / vectorbt["_ann_factor"])
    assert values["sharpe"] == pytest.approx(vectorbt["_sharpe_ddof1"] * scale, rel=1e-6)
    assert values["sortino"] == pytest.approx(vectorbt["_sortino"] * scale, rel=1e-6)
    assert values["volatility"] == pytest.approx(vectorbt["_annualized_volatility"] * scale, rel=1e-6)
    assert values["omega"] == pytest.approx(vectorbt["Omega Ratio"], rel=1e-6)
    assert values["max_drawdown"] == pytest.approx(-vectorbt["_max_drawdown"], rel=1e-6)
    assert values["buy_and_hold_return"] == pytest.approx(vectorbt["Benchmark Return [%]"] / 100, rel=1e-6)
    assert values["best_trade"] == pytest.approx(vectorbt["Best Trade [%]"] / 100, rel=1e-6)
    assert values["worst_trade"] == pytest.approx(vectorbt["Worst Trade [%]"] / 100, rel=1e-6)
    assert values["win_rate"] == pytest.approx(vectorbt["_win_rate_closed"], rel=1e-6)
    assert values["profit_factor"] == pytest.approx(vectorbt["_profit_factor_closed"], rel=1e-6)
    assert values["fees"] == pytest.approx(vectorbt["Total Fees Paid"], rel=1e-6)
    if data == "KRW-BTC_1h":  # no position is left open there, which backtesting.py would count as closed
        assert values["sqn"] == pytest.approx(other["SQN"], rel=1e-6)
        assert values["average_drawdown"] == pytest.approx(-other["Avg. Drawdown [%]"] / 100, rel=1e-6)
        assert values["longest_losing_streak"] > 0
