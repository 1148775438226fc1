"""Indicators: float64[n] in, float64[n] out, nan until there are enough bars."""

import numpy as np
from numpy.typing import NDArray

from engine.kernels import njit

Floats = NDArray[np.float64]


@njit
def wilder_rsi(closes: Floats, period: int) -> Floats:
    """RSI. Wilder, New Concepts in Technical Trading Systems, 1978.

    The first average gain and loss are simple means of the first `period` differences (bar `period`), then
    avg = (avg x (period - 1) + x) / period. No loss gives 100, neither loss nor gain 50.
    """
    rsi = np.full(len(closes), np.nan)
    gain = 0.0
    loss = 0.0
    for i in range(1, len(closes)):
        change = closes[i] - closes[i - 1]
        rise = max(change, 0.0)
        fall = max(-change, 0.0)
        if i <= period:
            gain += rise
            loss += fall
        if i < period:
            continue
        if i == period:
            gain /= period
            loss /= period
        else:
            gain = (gain * (period - 1) + rise) / period
            loss = (loss * (period - 1) + fall) / period
        if loss == 0.0:
            rsi[i] = 100.0 if gain > 0.0 else 50.0
        else:
            rsi[i] = 100.0 - 100.0 / (1.0 + gain / loss)
    return rsi


@njit
def extreme_before(values: Floats, window: int, sign: float) -> Floats:
    """The highest (sign +1) or lowest (sign -1) of the `window` values before each bar, the bar itself left out.

    A queue of candidates, best first: each value enters and leaves once, whatever the window.
    """
    n = len(values)
    extremes = np.full(n, np.nan)
    queue = np.empty(n, dtype=np.int64)
    head = 0
    tail = 0
    for i in range(n):
        if i >= window:
            if queue[head] < i - window:
                head += 1
            extremes[i] = values[queue[head]]
        while tail > head and sign * values[queue[tail - 1]] <= sign * values[i]:
            tail -= 1
        queue[tail] = i
        tail += 1
    return extremes


@njit
def mean_of(values: Floats) -> float:
    """Arithmetic mean, summed as differences from the first value so that equal values give that value exactly."""
    total = 0.0
    for value in values:
        total += value - values[0]
    return float(values[0] + total / len(values))


@njit
def bollinger(closes: Floats, period: int) -> tuple[Floats, Floats]:
    """(middle, deviation): mean and population standard deviation of the last `period` closes.

    Bollinger, Bollinger on Bollinger Bands, 2001. Each window is computed for itself, so nothing drifts.
    """
    middle = np.full(len(closes), np.nan)
    deviation = np.full(len(closes), np.nan)
    for i in range(period - 1, len(closes)):
        window = closes[i - period + 1 : i + 1]
        mean = mean_of(window)
        squares = 0.0
        for close in window:
            squares += (close - mean) * (close - mean)
        middle[i] = mean
        deviation[i] = np.sqrt(squares / period)
    return middle, deviation


@njit
def ema(values: Floats, period: int, first: int) -> Floats:
    """Exponential average, alpha = 2 / (period + 1), starting at bar `first` with the mean of the period up to it."""
    averages = np.full(len(values), np.nan)
    if first >= len(values):
        return averages
    average = mean_of(values[first - period + 1 : first + 1])
    averages[first] = average
    alpha = 2.0 / (period + 1.0)
    for i in range(first + 1, len(values)):
        average += alpha * (values[i] - average)
        averages[i] = average
    return averages


@njit
def macd(closes: Floats, fast: int, slow: int, signal: int) -> tuple[Floats, Floats]:
    """(line, signal line). Appel, The Moving Average Convergence-Divergence Trading Method, 1979.

    line = ema(fast) - ema(slow), both starting at bar slow - 1 as TA-Lib has it; signal line = ema(line).
    """
    line = ema(closes, fast, slow - 1) - ema(closes, slow, slow - 1)
    return line, ema(line, signal, slow + signal - 2)
