"""Formulas of the metrics, each on plain arrays. None where a figure is undefined; definitions: engine.metric_table."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Number = float | None

DAY = 86_400_000_000  # microseconds
YEAR_DAYS = 365


def finite(value: float) -> Number:
    """The value as a float, None when it is not finite."""
    return float(value) if np.isfinite(value) else None


def ratio(above: float, below: float) -> Number:
    """above / below, None when that is undefined or not finite."""
    if below == 0.0:
        return None
    with np.errstate(all="ignore"):
        return finite(np.float64(above) / np.float64(below))


def mean(values: Floats) -> Number:
    """Arithmetic mean, None of nothing."""
    return finite(values.mean()) if len(values) else None


def years_between(timestamp: NDArray[np.int64]) -> float:
    """Calendar time between the first and the last bar in years of 365 days."""
    return float(timestamp[-1] - timestamp[0]) / (YEAR_DAYS * DAY)


def bars_in_a_year(timestamp: NDArray[np.int64], annual_days: int) -> Number:
    """How many bars a year has: counted on the calendar, or with fewer than 365 days, bars per day traded x days."""
    if len(timestamp) < 2:
        return None
    if annual_days >= YEAR_DAYS:
        return (len(timestamp) - 1) / years_between(timestamp)
    days = np.count_nonzero(np.diff(timestamp // DAY)) + 1
    return len(timestamp) / days * annual_days


def returns_of(equity: Floats, initial: float) -> Floats | None:
    """Returns per bar, the first against the initial value; None when the equity was ever zero or below."""
    if equity.min() <= 0.0:
        return None
    returns = np.empty(len(equity))
    returns[0] = equity[0] / initial - 1.0
    np.divide(equity[1:], equity[:-1], out=returns[1:])
    returns[1:] -= 1.0
    return returns


def cagr(final: float, initial: float, years: float) -> Number:
    """(final / initial) ^ (1 / years) - 1."""
    if years <= 0.0 or final <= 0.0:
        return None
    with np.errstate(over="ignore"):
        return finite(np.float64(final / initial) ** (1.0 / years) - 1.0)


def sharpe(returns: Floats, year: float) -> Number:
    """Mean / sample standard deviation x sqrt(bars in a year). Sharpe, The Sharpe Ratio, 1994; risk-free rate 0."""
    if len(returns) < 2:
        return None
    return ratio(returns.mean() * np.sqrt(year), returns.std(ddof=1))


def sortino(returns: Floats, year: float) -> Number:
    """Mean / downside deviation x sqrt(bars in a year). Sortino & Price 1994, target 0, over all bars."""
    return ratio(returns.mean() * np.sqrt(year), np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2)))


def omega(returns: Floats) -> Number:
    """Gains / losses around 0. Keating & Shadwick 2002."""
    return ratio(np.maximum(returns, 0.0).sum(), -np.minimum(returns, 0.0).sum())


class Tails(NamedTuple):
    """The shape of the returns per bar."""

    tail_ratio: Number
    var_95: Number
    cvar_95: Number
    skew: Number
    kurtosis: Number


def tails(returns: Floats) -> Tails:
    """Quantiles (linear interpolation, as numpy) and standardised central moments of the returns per bar."""
    low, high = np.quantile(returns, (0.05, 0.95))
    away = returns - returns.mean()
    squares = away * away
    variance = squares.mean()
    return Tails(
        tail_ratio=ratio(abs(high), abs(low)),
        var_95=finite(low),
        cvar_95=finite(returns[returns <= low].mean()),
        skew=ratio((squares * away).mean(), variance**1.5),
        kurtosis=None if variance == 0.0 else finite((squares * squares).mean() / variance**2 - 3.0),
    )


class Drawdowns(NamedTuple):
    """Depths are fractions, times microseconds UTC, durations days; None without a drawdown."""

    max_drawdown: Number
    max_drawdown_start: int | None
    max_drawdown_end: int | None
    max_drawdown_days: Number
    average_drawdown: Number
    average_drawdown_days: Number
    ulcer_index: Number


def drawdowns(timestamp: NDArray[np.int64], drawdown: Floats) -> Drawdowns:
    """The drawdowns of a curve: each runs from its peak's bar to the bar that reaches the peak again, or the last."""
    below = drawdown > 0.0
    if not below.any():
        return Drawdowns(0.0, None, None, 0.0, 0.0, 0.0, 0.0)
    edges = np.flatnonzero(np.diff(below, prepend=False, append=False))
    starts, stops = edges[::2], edges[1::2]
    peaks = np.maximum(starts - 1, 0)
    days = (timestamp[np.minimum(stops, len(timestamp) - 1)] - timestamp[peaks]) / DAY
    deepest = int(drawdown.argmax())
    peak = peaks[np.searchsorted(starts, deepest, side="right") - 1]
    return Drawdowns(
        max_drawdown=finite(drawdown[deepest]),
        max_drawdown_start=int(timestamp[peak]),
        max_drawdown_end=int(timestamp[deepest]),
        max_drawdown_days=finite(days.max()),
        average_drawdown=finite(np.maximum.reduceat(drawdown, starts).mean()),
        average_drawdown_days=finite(days.mean()),
        ulcer_index=finite(np.sqrt(np.mean(drawdown * drawdown))),
    )


def market_line(returns: Floats, market: Floats, year: float) -> tuple[Number, Number]:
    """(alpha, beta): regression of the returns on the market's, alpha x bars in a year. Jensen 1968, rate 0."""
    away = market - market.mean()
    beta = ratio(float(np.mean(away * returns)), float(np.mean(away * away)))
    if beta is None:
        return None, None
    return finite((returns.mean() - beta * market.mean()) * year), beta


def longest_run(flags: NDArray[np.bool_]) -> int:
    """The longest run of true values."""
    edges = np.flatnonzero(np.diff(flags, prepend=False, append=False))
    return int((edges[1::2] - edges[::2]).max(initial=0))
