"""Indicators at chosen bars, in numpy: what engine.kernels.indicators computes at all bars, for charts. No numba.

Each formula takes the columns of the bars, `at` (int64[m], increasing bar numbers) and its arguments, and gives
float64[m], nan until there are enough bars. Averages that remember everything start far enough back that what came
before weighs less than 1e-17.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from engine.lines import Line

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Columns = Mapping[str, Floats]

REACH: Final = 40  # time constants of history: e^-40
BLOCK: Final = 512
MOST_CELLS: Final = 2_000_000  # numbers in memory at once
ROUNDING: Final = 1e-12  # as in engine.kernels.volume


def line_values(line: Line, bars: Columns, at: Numbers) -> Floats:
    """The line at the bars `at`; `bars`: open, high, low, close and volume of the whole run. Raises KeyError."""
    return FORMULAS[line.formula](bars, at, *line.arguments)


def _over_windows(values: Floats, period: int, last: Numbers, reduce: Callable[[Floats], Floats]) -> Floats:
    """`reduce` of the `period` values that end at each of `last`; nan where there are not that many."""
    result = np.full(len(last), np.nan)
    rows = np.flatnonzero(last >= period - 1)
    windows = sliding_window_view(values, period) if len(rows) else values
    step = max(1, MOST_CELLS // period)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        result[part] = reduce(windows[last[part] - period + 1])
    return result


def _mean(windows: Floats) -> Floats:
    return windows[:, 0] + (windows - windows[:, :1]).mean(axis=1)  # type: ignore[no-any-return]


def sma(bars: Columns, at: Numbers, period: float) -> Floats:
    """Mean of the last `period` closes."""
    return _over_windows(bars["close"], int(period), at, _mean)


def bollinger(bars: Columns, at: Numbers, period: float, deviations: float) -> Floats:
    """The mean of the last `period` closes plus so many of their population standard deviations."""
    close, length = bars["close"], int(period)
    return sma(bars, at, period) + deviations * _over_windows(close, length, at, lambda windows: windows.std(axis=1))


def highest_before(bars: Columns, at: Numbers, window: float) -> Floats:
    """The highest high of the `window` bars before each bar."""
    return _over_windows(bars["high"], int(window), at - 1, lambda windows: windows.max(axis=1))


def lowest_before(bars: Columns, at: Numbers, window: float) -> Floats:
    """The lowest low of the `window` bars before each bar."""
    return _over_windows(bars["low"], int(window), at - 1, lambda windows: windows.min(axis=1))


def mean_volume(bars: Columns, at: Numbers, window: float, times: float) -> Floats:
    """`times` the mean volume of the last `window` bars, this one included; of fewer at the start."""
    volume, length = bars["volume"], int(window)
    means = _over_windows(volume, length, at, lambda windows: windows.mean(axis=1))
    for row in np.flatnonzero(at < length - 1):
        means[row] = volume[: at[row] + 1].mean()
    return means * times


def smoothed(values: Floats, alpha: float, before: float) -> Floats:
    """float64[n]: y[i] = y[i - 1] + alpha x (values[i] - y[i - 1]), with `before` as y[-1].

    Block by block, all blocks at once as if each began at zero; then what each block is handed by the one before.
    """
    n = len(values)
    blocks = -(-n // BLOCK)
    padded = np.zeros(blocks * BLOCK)
    padded[:n] = values
    columns = np.ascontiguousarray(padded.reshape(blocks, BLOCK).T) * alpha
    decay = 1.0 - alpha
    for j in range(1, BLOCK):
        columns[j] += decay * columns[j - 1]
    fading = decay ** np.arange(1, BLOCK + 1)
    handed = np.empty(blocks)
    for block in range(blocks):
        handed[block] = before
        before = columns[-1, block] + fading[-1] * before
    return (columns + np.outer(fading, handed)).T.reshape(-1)[:n]


def _ema(values: Floats, period: int, first: int) -> Floats:
    """As engine.kernels.indicators.ema, over all values."""
    averages = np.full(len(values), np.nan)
    if first < len(values):
        seed = values[first] if period == 1 else values[first - period + 1 : first + 1].mean()
        averages[first] = seed
        averages[first + 1 :] = smoothed(values[first + 1 :], 2.0 / (period + 1.0), float(seed))
    return averages


def macd(bars: Columns, at: Numbers, fast: float, slow: float) -> Floats:
    """ema(fast) - ema(slow), both from bar slow - 1 on."""
    line, start = _macd(bars["close"], at, int(fast), int(slow), 0)
    return _picked(line, at, start)


def macd_signal(bars: Columns, at: Numbers, fast: float, slow: float, signal: float) -> Floats:
    """ema(signal) of the MACD line."""
    length = int(signal)
    line, start = _macd(bars["close"], at, int(fast), int(slow), length)
    known = int(np.count_nonzero(np.isnan(line)))
    return _picked(_ema(line, length, known + length - 1), at, start)


def _macd(close: Floats, at: Numbers, fast: int, slow: int, signal: int) -> tuple[Floats, int]:
    """The line of the bars from a start on that is early enough for the bars `at`, and that start."""
    start = max(0, int(at[0]) - slow - signal - REACH * (slow + signal + 2) // 2) if len(at) else 0
    part = close[start : int(at[-1]) + 1] if len(at) else close[:0]
    return _ema(part, fast, slow - 1) - _ema(part, slow, slow - 1), start


def rsi(bars: Columns, at: Numbers, period: float) -> Floats:
    """Wilder's RSI, as engine.kernels.indicators.wilder_rsi."""
    length = int(period)
    start = max(0, int(at[0]) - (REACH + 1) * length) if len(at) else 0
    change = np.diff(bars["close"][start : int(at[-1]) + 1]) if len(at) else np.empty(0)
    values = np.full(len(change) + 1, np.nan)
    if len(change) >= length:
        gain, loss = (_wilder(np.maximum(sign * change, 0.0), length) for sign in (1.0, -1.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            strength = 100.0 - 100.0 / (1.0 + gain / loss)
        values[length:] = np.where(loss == 0.0, np.where(gain > 0.0, 100.0, 50.0), strength)
    return _picked(values, at, start)


def _wilder(values: Floats, period: int) -> Floats:
    seed = float(values[:period].mean())
    return np.concatenate([[seed], smoothed(values[period:], 1.0 / period, seed)])


def _picked(values: Floats, at: Numbers, start: int) -> Floats:
    return values[at - start] if len(at) else np.empty(0)


def level(bars: Columns, at: Numbers, value: float) -> Floats:
    """The same everywhere."""
    return np.full(len(at), float(value))


def resistance(bars: Columns, at: Numbers, *arguments: float) -> Floats:
    """`factor` x the lower edge of the highest price bin from which on up `share` of the window's volume was traded.

    `arguments`: window, share, factor, bins, wicks (1: bars reach from low to high, 0: over their bodies). The window
    is the bars before each bar; nan when it is flat, or without volume.
    """
    window, share, factor, bins, wicks = arguments
    body = np.minimum(bars["open"], bars["close"]), np.maximum(bars["open"], bars["close"])
    bottoms, tops = (bars["low"], bars["high"]) if wicks else body
    result = np.full(len(at), np.nan)
    rows = np.flatnonzero(at >= window)
    step = max(1, MOST_CELLS // int(window * bins))
    for first in range(0, len(rows), step):
        part = rows[first : first + step]
        cells = at[part][:, None] - int(window) + np.arange(int(window))
        result[part] = _zone(bottoms[cells], tops[cells], bars["volume"][cells], share, int(bins)) * factor
    return result


def _zone(bottoms: Floats, tops: Floats, volume: Floats, share: float, bins: int) -> Floats:
    lowest, total = bottoms.min(axis=1), volume.sum(axis=1)
    width = (tops.max(axis=1) - lowest) / bins
    edges = lowest[:, None] + np.arange(bins) * width[:, None]
    height = np.where(tops > bottoms, tops - bottoms, 1.0)
    inside = np.clip((tops[:, :, None] - edges[:, None, :]) / height[:, :, None], 0.0, 1.0)
    inside = np.where(bottoms[:, :, None] >= edges[:, None, :], 1.0, inside)
    enough = (inside * volume[:, :, None]).sum(axis=1) >= (share * total - ROUNDING * total)[:, None]
    highest = np.where(enough.any(axis=1), bins - 1 - enough[:, ::-1].argmax(axis=1), 0)
    found = edges[np.arange(len(edges)), highest]
    return np.where((width > 0.0) & (total > 0.0), found, np.nan)


FORMULAS: Final[Mapping[str, Callable[..., Floats]]] = {
    "sma": sma,
    "bollinger": bollinger,
    "highest_before": highest_before,
    "lowest_before": lowest_before,
    "mean_volume": mean_volume,
    "macd": macd,
    "macd_signal": macd_signal,
    "rsi": rsi,
    "level": level,
    "resistance": resistance,
}
"""By the name that a Line gives."""

REMEMBERING: Final = frozenset({"rsi", "macd", "macd_signal"})
"""Formulas that walk through all bars before: worth computing once for all of them."""
