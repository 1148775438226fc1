"""METRICS: every figure a result has, with its label, unit and definition. engine.metrics computes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

Unit = Literal["fraction", "ratio", "money", "count", "bars", "time", "seconds", "days"]


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric's name, label, unit, definition, and which direction is better (None: neither).

    Inside the engine a fraction is a fraction; the stored contract is percent, under `stored_name`.
    Times are int microseconds UTC.
    """

    name: str
    label: str
    unit: Unit
    better: Literal["higher", "lower"] | None
    help: str

    @property
    def stored_name(self) -> str:
        """The name under which the value is stored and served: fractions become percent and end in _pct."""
        return f"{self.name}_pct" if self.unit == "fraction" else self.name


_TABLE = (
    MetricSpec("total_return", "Total return", "fraction", "higher", "Final equity / initial cash - 1."),
    MetricSpec(
        "cagr",
        "CAGR",
        "fraction",
        "higher",
        "(Final equity / initial cash) ^ (1 / years) - 1; years = time from first to last bar / 365 days.",
    ),
    MetricSpec(
        "volatility",
        "Volatility",
        "fraction",
        "lower",
        "Sample standard deviation of the returns per bar x sqrt(bars in a year). Bars in a year are counted on the "
        "calendar: (bars - 1) / years; with fewer than 365 trading days set, bars per day with bars x those days.",
    ),
    MetricSpec(
        "sharpe",
        "Sharpe ratio",
        "ratio",
        "higher",
        "Mean / sample standard deviation of the returns per bar x sqrt(bars in a year); "
        "risk-free rate 0 (Sharpe 1994).",
    ),
    MetricSpec(
        "sortino",
        "Sortino ratio",
        "ratio",
        "higher",
        "Mean return per bar / root mean square of the negative ones (over all bars) x sqrt(bars in a year) "
        "(Sortino & Price 1994).",
    ),
    MetricSpec("calmar", "Calmar ratio", "ratio", "higher", "CAGR / maximum drawdown (Young 1991)."),
    MetricSpec(
        "omega",
        "Omega ratio",
        "ratio",
        "higher",
        "Sum of positive / sum of negative returns per bar, threshold 0 (Keating & Shadwick 2002).",
    ),
    MetricSpec(
        "max_drawdown",
        "Max drawdown",
        "fraction",
        "lower",
        "Largest 1 - equity / highest equity so far, at bar closes; the peak starts at the initial cash.",
    ),
    MetricSpec("max_drawdown_start", "Max drawdown from", "time", None, "Bar of the peak before the deepest drawdown."),
    MetricSpec("max_drawdown_end", "Max drawdown to", "time", None, "Bar at which the drawdown was deepest."),
    MetricSpec(
        "max_drawdown_days",
        "Longest drawdown",
        "days",
        "lower",
        "Longest time from a peak to the bar that reaches it again, or to the last bar.",
    ),
    MetricSpec(
        "average_drawdown", "Average drawdown", "fraction", "lower", "Mean of the deepest point of each drawdown."
    ),
    MetricSpec(
        "average_drawdown_days",
        "Average drawdown time",
        "days",
        "lower",
        "Mean time from a peak until it is reached again.",
    ),
    MetricSpec(
        "ulcer_index",
        "Ulcer index",
        "fraction",
        "lower",
        "Root mean square of the drawdown over all bars (Martin 1987).",
    ),
    MetricSpec(
        "exposure",
        "Exposure",
        "fraction",
        None,
        "Mean over all bars of position value / equity, at the close (short counts too).",
    ),
    MetricSpec(
        "time_in_market",
        "Time in market",
        "fraction",
        None,
        "Share of bars at whose close a position was open (any symbol).",
    ),
    MetricSpec("trade_count", "Trades", "count", None, "Trades opened, the ones still open at the end included."),
    MetricSpec(
        "win_rate", "Win rate", "fraction", "higher", "Closed trades with a profit after costs / closed trades."
    ),
    MetricSpec(
        "average_trade",
        "Average trade",
        "fraction",
        "higher",
        "Mean return of the closed trades; a trade's return = pnl after costs / (quantity x entry price).",
    ),
    MetricSpec("best_trade", "Best trade", "fraction", "higher", "Highest return of a closed trade."),
    MetricSpec("worst_trade", "Worst trade", "fraction", "higher", "Lowest return of a closed trade."),
    MetricSpec("average_win", "Average win", "fraction", "higher", "Mean return of the closed trades with a profit."),
    MetricSpec("average_loss", "Average loss", "fraction", "higher", "Mean return of the closed trades with a loss."),
    MetricSpec("payoff_ratio", "Payoff ratio", "ratio", "higher", "Average win / -average loss."),
    MetricSpec(
        "profit_factor",
        "Profit factor",
        "ratio",
        "higher",
        "Sum of profits / sum of losses of the closed trades, in money.",
    ),
    MetricSpec("expectancy", "Expectancy", "money", "higher", "Mean pnl of the closed trades."),
    MetricSpec(
        "sqn",
        "SQN",
        "ratio",
        "higher",
        "sqrt(closed trades) x mean pnl / sample standard deviation of pnl (Tharp 2008); two closed trades at least.",
    ),
    MetricSpec(
        "kelly", "Kelly fraction", "fraction", "higher", "Win rate - (1 - win rate) / payoff ratio (Kelly 1956)."
    ),
    MetricSpec(
        "average_hold_bars", "Average hold", "bars", None, "Mean of exit bar - entry bar over the closed trades."
    ),
    MetricSpec(
        "longest_losing_streak",
        "Longest losing streak",
        "count",
        "lower",
        "Most closed trades with a loss in a row, in order of their exit.",
    ),
    MetricSpec("fees", "Fees", "money", "lower", "Sum of the fees of all fills."),
    MetricSpec(
        "slippage", "Slippage", "money", "lower", "Sum over fills of quantity x |fill price - price without slippage|."
    ),
    MetricSpec("turnover", "Turnover", "ratio", None, "Value of all fills / mean equity, over the whole run."),
    MetricSpec(
        "break_even_cost",
        "Break-even cost",
        "fraction",
        "higher",
        "Cost per fill, as a fraction of its value, at which the same trades would have earned nothing: "
        "(pnl of closed trades + their fees + slippage) / value of their fills.",
    ),
    MetricSpec(
        "buy_and_hold_return",
        "Buy and hold",
        "fraction",
        None,
        "Last close / first close - 1, without costs; the mean over the symbols.",
    ),
    MetricSpec(
        "alpha",
        "Alpha",
        "fraction",
        "higher",
        "(Mean return per bar - beta x mean return of buy and hold) x bars in a year; risk-free rate 0 (Jensen 1968).",
    ),
    MetricSpec(
        "beta",
        "Beta",
        "ratio",
        None,
        "Covariance of the returns per bar with those of buy and hold / variance of those.",
    ),
    MetricSpec("tail_ratio", "Tail ratio", "ratio", "higher", "|95% quantile| / |5% quantile| of the returns per bar."),
    MetricSpec("var_95", "VaR 95%", "fraction", "higher", "5% quantile of the returns per bar (a loss is negative)."),
    MetricSpec(
        "cvar_95",
        "CVaR 95%",
        "fraction",
        "higher",
        "Mean of the returns per bar at or below VaR 95% (Rockafellar & Uryasev 2000).",
    ),
    MetricSpec("skew", "Skew", "ratio", "higher", "Third central moment / second ^ 1.5 of the returns per bar."),
    MetricSpec(
        "kurtosis", "Kurtosis", "ratio", "lower", "Fourth central moment / second ^ 2 - 3 of the returns per bar."
    ),
    MetricSpec("final_equity", "Final equity", "money", "higher", "Cash + value of open positions at the last close."),
)

METRICS: dict[str, MetricSpec] = {metric.name: metric for metric in _TABLE}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def stored_metrics(metrics: Mapping[str, float | int | None]) -> dict[str, float | int | str | None]:
    """Metrics by `name` as they are stored, by `stored_name`: fractions as percent, times as ISO text."""
    stored: dict[str, float | int | str | None] = {}
    for name, value in metrics.items():
        metric = METRICS[name]
        if value is not None and metric.unit == "fraction":
            stored[metric.stored_name] = percent(value)
        elif value is not None and metric.unit == "time":
            stored[metric.stored_name] = iso(int(value))
        else:
            stored[metric.stored_name] = value
    return stored


def percent(fraction: float) -> float:
    """A fraction as percent: the one conversion."""
    return fraction * 100.0


def iso(microseconds: int) -> str:
    """An instant in microseconds UTC as ISO text."""
    return (_EPOCH + timedelta(microseconds=microseconds)).isoformat()
