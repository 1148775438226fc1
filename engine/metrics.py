"""summarise: all metrics of a backtest from its simulations. Names and definitions are the METRICS table's."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine import statistics as st
from engine.metric_table import METRICS, MetricSpec, Unit
from engine.portfolio import PortfolioCurve, Run, total

if TYPE_CHECKING:
    from engine.simulation import Simulation

__all__ = ["METRICS", "MetricSpec", "Unit", "summarise", "summarise_symbol"]

Values = dict[str, float | int | None]

_OF_RETURNS = (
    "volatility", "sharpe", "sortino", "omega", "alpha", "beta", "tail_ratio", "var_95", "cvar_95", "skew", "kurtosis"
)  # fmt: skip


def summarise(simulations: Mapping[str, Run], curve: PortfolioCurve, *, annual_days: int = st.YEAR_DAYS) -> Values:
    """Every metric of METRICS by name, in fractions; None where it is undefined, never nan or infinite.

    `simulations`: symbol -> Simulation or StoredRun, in the order of the spec; `curve`: combine(simulations);
    `annual_days`: as in the spec. Figures of returns and drawdowns come from the curve, those of trades from the
    trades of all symbols.
    """
    runs = list(simulations.values())
    trades = _Trades(runs)
    values: Values = {
        **_growth(curve),
        **st.drawdowns(curve.timestamp, curve.drawdown)._asdict(),
        **_returns(runs, curve, annual_days),
        **_presence(runs, curve),
        **trades.outcomes(),
        **trades.costs(float(curve.equity.mean())),
        "buy_and_hold_return": st.mean(np.array([run.bars.close[-1] / run.bars.close[0] - 1.0 for run in runs])),
    }
    if values["cagr"] is not None:
        values["calmar"] = st.ratio(values["cagr"], values["max_drawdown"] or 0.0)
    return {name: values.get(name) for name in METRICS}


def summarise_symbol(simulation: "Simulation") -> Values:
    """One symbol's row of the summary table, percentages as fractions; None where there is no closed trade.

    win_rate, avg_return, max_return, min_return, avg_hold_bars: over closed trades. total_signals counts open trades
    too; winning and losing are closed trades with pnl above / below 0. total_pnl(_pct): final equity against the cash.
    """
    trades = _Trades([simulation])
    pnl = simulation.final_equity - simulation.initial_cash
    outcomes = trades.outcomes()
    return {
        "win_rate": outcomes["win_rate"],
        "avg_return": outcomes["average_trade"],
        "max_return": outcomes["best_trade"],
        "min_return": outcomes["worst_trade"],
        "max_drawdown": st.finite(simulation.drawdown.max()),
        "avg_hold_bars": outcomes["average_hold_bars"],
        "total_signals": len(simulation.trades),
        "winning_signals": int(np.count_nonzero(trades.pnl > 0)),
        "losing_signals": int(np.count_nonzero(trades.pnl < 0)),
        "total_pnl": st.finite(pnl),
        "total_pnl_pct": st.finite(pnl / simulation.initial_cash),
    }


def _growth(curve: PortfolioCurve) -> Values:
    final = float(curve.equity[-1])
    return {
        "final_equity": st.finite(final),
        "total_return": st.finite(final / curve.initial_cash - 1.0),
        "cagr": st.cagr(final, curve.initial_cash, st.years_between(curve.timestamp)),
    }


def _returns(runs: list[Run], curve: PortfolioCurve, annual_days: int) -> Values:
    returns = st.returns_of(curve.equity, curve.initial_cash)
    year = st.bars_in_a_year(curve.timestamp, annual_days)
    if returns is None or year is None:
        return dict.fromkeys(_OF_RETURNS)
    market = total(runs, curve.timestamp, _held, lambda run: run.initial_cash)
    market_returns = st.returns_of(market, curve.initial_cash)
    alpha, beta = (None, None) if market_returns is None else st.market_line(returns, market_returns, year)
    return {
        "volatility": st.finite(returns.std(ddof=1) * np.sqrt(year)),
        "sharpe": st.sharpe(returns, year),
        "sortino": st.sortino(returns, year),
        "omega": st.omega(returns),
        "alpha": alpha,
        "beta": beta,
        **st.tails(returns)._asdict(),
    }


def _held(run: Run) -> NDArray[np.float64]:
    """The equity of buying at the first close and holding, without costs."""
    return np.multiply(run.bars.close, run.initial_cash / float(run.bars.close[0]))


def _presence(runs: list[Run], curve: PortfolioCurve) -> Values:
    value = total(runs, curve.timestamp, lambda run: np.abs(run.position) * run.bars.close, lambda _: 0.0)
    held = total(runs, curve.timestamp, lambda run: np.abs(run.position), lambda _: 0.0)
    exposure = st.finite((value / curve.equity).mean()) if curve.equity.min() > 0.0 else None
    return {"exposure": exposure, "time_in_market": st.finite(np.count_nonzero(held) / len(held))}


class _Trades:
    """The trades of all symbols together; those of closed ones in the order of their exits."""

    def __init__(self, runs: list[Run]) -> None:
        self.count = sum(len(run.trades) for run in runs)
        self.fees = float(sum(run.trades.fee.sum() for run in runs))
        self.slippage = float(sum(run.trades.slippage.sum() for run in runs))
        closed = [run.trades.closed for run in runs]
        pairs = list(zip(runs, closed, strict=True))
        exit_time = _joined([run.bars.timestamp[run.trades.exit_bar[mask]] for run, mask in pairs])
        order = np.argsort(exit_time, kind="stable")
        self.pnl = _joined([run.trades.pnl[mask] for run, mask in pairs])[order]
        self.returns = _joined([run.trades.return_[mask] for run, mask in pairs])[order]
        self.hold_bars = _joined([run.trades.hold_bars[mask] for run, mask in pairs])
        self.costs_of_closed = float(sum((run.trades.fee + run.trades.slippage)[mask].sum() for run, mask in pairs))
        entered = [run.trades.quantity * run.trades.entry_price for run in runs]
        left = [(run.trades.quantity * run.trades.exit_price)[mask] for run, mask in pairs]
        self.value = float(sum(part.sum() for part in (*entered, *left)))
        self.value_of_closed = float(
            sum(part[mask].sum() for part, mask in zip(entered, closed, strict=True)) + sum(part.sum() for part in left)
        )

    def outcomes(self) -> Values:
        wins, losses = self.pnl > 0.0, self.pnl < 0.0
        count = len(self.pnl)
        values: Values = {
            "trade_count": self.count,
            "win_rate": st.finite(np.count_nonzero(wins) / count) if count else None,
            "average_trade": st.mean(self.returns),
            "best_trade": st.finite(self.returns.max()) if count else None,
            "worst_trade": st.finite(self.returns.min()) if count else None,
            "average_win": st.mean(self.returns[wins]),
            "average_loss": st.mean(self.returns[losses]),
            "profit_factor": st.ratio(self.pnl[wins].sum(), -self.pnl[losses].sum()) if count else None,
            "expectancy": st.mean(self.pnl),
            "sqn": st.ratio(np.sqrt(count) * self.pnl.mean(), self.pnl.std(ddof=1)) if count > 1 else None,
            "average_hold_bars": st.mean(self.hold_bars),
            "longest_losing_streak": st.longest_run(losses) if count else None,
        }
        return {**values, **_edge(values)}

    def costs(self, mean_equity: float) -> Values:
        earned = float(self.pnl.sum()) + self.costs_of_closed
        return {
            "fees": st.finite(self.fees),
            "slippage": st.finite(self.slippage),
            "turnover": st.ratio(self.value, mean_equity),
            "break_even_cost": st.ratio(earned, self.value_of_closed),
        }


def _edge(values: Values) -> Values:
    win, loss, rate = values["average_win"], values["average_loss"], values["win_rate"]
    if win is None or loss is None or rate is None:
        return {"payoff_ratio": None, "kelly": None}
    payoff = st.ratio(win, -loss)
    kelly = None if not payoff else st.finite(rate - (1.0 - rate) / payoff)
    return {"payoff_ratio": payoff, "kelly": kelly}


def _joined(parts: list[NDArray[np.generic]]) -> NDArray[np.float64]:
    return np.concatenate(parts).astype(np.float64)
