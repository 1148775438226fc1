"""The lines of charts are what the kernels compute, wherever a chart begins to look."""

import numpy as np
import pytest

from engine.catalog import STRATEGIES, load_signals
from engine.indicators import FORMULAS, line_values, smoothed
from engine.kernels.indicators import bollinger, extreme_before, macd, wilder_rsi
from engine.kernels.volume import zone_breakouts
from engine.lines import Line
from tests.engine.made import random_bars

BARS = random_bars(np.random.default_rng(11), 6_000, spread=0.01)
COLUMNS = {name: getattr(BARS, name) for name in ("open", "high", "low", "close", "volume")}
EVERY = np.arange(len(BARS))
SOME = np.r_[np.arange(0, 40), np.arange(4_100, 4_130), 5_998, 5_999]
LATE = np.arange(5_500, 5_540)


def bands(period, width):
    middle, deviation = bollinger(BARS.close, period)
    return middle + width * deviation


KERNELS = {
    ("sma", (17,)): lambda: bollinger(BARS.close, 17)[0],
    ("sma", (1,)): lambda: BARS.close,
    ("bollinger", (20, 2.0)): lambda: bands(20, 2.0),
    ("bollinger", (500, -1.5)): lambda: bands(500, -1.5),
    ("highest_before", (20,)): lambda: extreme_before(BARS.high, 20, 1.0),
    ("lowest_before", (1,)): lambda: extreme_before(BARS.low, 1, -1.0),
    ("rsi", (14,)): lambda: wilder_rsi(BARS.close, 14),
    ("rsi", (1,)): lambda: wilder_rsi(BARS.close, 1),
    ("rsi", (200,)): lambda: wilder_rsi(BARS.close, 200),
    ("macd", (12, 26)): lambda: macd(BARS.close, 12, 26, 9)[0],
    ("macd_signal", (12, 26, 9)): lambda: macd(BARS.close, 12, 26, 9)[1],
    ("macd", (1, 2)): lambda: macd(BARS.close, 1, 2, 1)[0],
    ("macd_signal", (60, 150, 80)): lambda: macd(BARS.close, 60, 150, 80)[1],
}


@pytest.mark.parametrize("at", [EVERY, SOME, LATE, np.array([0]), np.array([5_999])], ids=len)
@pytest.mark.parametrize("wanted", KERNELS, ids=lambda wanted: f"{wanted[0]}{wanted[1]}")
def test_a_formula_is_its_kernel(wanted, at):
    found = line_values(Line("a line", *wanted), COLUMNS, at)
    np.testing.assert_allclose(found, KERNELS[wanted]()[at], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("window", "share", "bins", "wicks", "factor"), [
    (10, 0.2, 20, True, 1.0), (3, 0.55, 7, False, 1.004), (50, 1.0, 1, True, 0.99), (25, 0.01, 200, True, 1.0),
])  # fmt: skip
def test_the_resistance_is_where_the_kernel_sees_breakouts(window, share, bins, wicks, factor):
    tops = BARS.high if wicks else np.maximum(BARS.open, BARS.close)
    bottoms = BARS.low if wicks else np.minimum(BARS.open, BARS.close)
    expected = zone_breakouts(BARS.high, tops, bottoms, BARS.volume, window, bins, share, factor)
    line = line_values(Line("zone", "resistance", (window, share, factor, bins, wicks)), COLUMNS, EVERY)
    assert ((line <= BARS.high) == expected).all()
    assert 0 < expected.sum() < len(BARS)


def test_the_volume_line_is_the_mean_of_what_there_is():
    line = line_values(Line("volume", "mean_volume", (20, 1.5)), COLUMNS, EVERY)
    expected = [1.5 * BARS.volume[max(0, i - 19) : i + 1].mean() for i in EVERY]
    np.testing.assert_allclose(line, expected, rtol=1e-12)


@pytest.mark.parametrize("n", [1, 511, 512, 513, 5_000])
def test_smoothing_block_by_block_is_smoothing_bar_by_bar(n):
    values = np.random.default_rng(n).normal(size=n)
    last, expected = 3.0, []
    for value in values:
        last += 0.07 * (value - last)
        expected.append(last)
    np.testing.assert_allclose(smoothed(values, 0.07, 3.0), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=list(STRATEGIES))
def test_the_lines_of_each_strategy_can_be_drawn(strategy):
    params = {param.name: param.default for param in strategy.params}
    lines = strategy.lines(params)
    assert bool(lines) == bool(strategy.params)
    for line in lines:
        values = line_values(line, COLUMNS, EVERY)
        assert len(values) == len(BARS)
        first = strategy.warmup(params)
        assert np.isfinite(values[first + 1 :]).mean() > 0.9
    assert load_signals(strategy)(BARS, params) is not None


def test_levels_and_nothing_at_all():
    assert line_values(Line("30", "level", (30.0,)), COLUMNS, SOME).tolist() == [30.0] * len(SOME)
    for name, arguments in KERNELS:
        assert len(line_values(Line(name, name, arguments), COLUMNS, np.empty(0, np.int64))) == 0
    assert {formula for formula, _ in KERNELS} < set(FORMULAS)
