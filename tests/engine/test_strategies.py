"""Each strategy's signals against its rule, written out slowly."""

from fractions import Fraction

import numpy as np
import pytest
import talib

from engine.catalog import STRATEGIES, get_strategy
from engine.kernels.records import ENTER, ENTER_SHORT, EXIT, EXIT_SHORT
from engine.kernels.volume import bins_below
from engine.wishes import WishSource
from tests.engine.made import bars_of, flat_bars, random_bars, real_bars, spec_of


def wishes_of(bars, name, **params):
    spec = spec_of(name, params)
    source = WishSource(get_strategy(name), bars, spec.params)
    return source.wishes(0, len(bars)), source.hold_bars


def has(wishes, wish):
    return (wishes & wish) > 0


# -- volume_zone_breakout ----------------------------------------------------------------------------------------------


def slow_resistance(lows, highs, volumes, num_bins, share):
    """Bin by bin, as the rule says."""
    bottom, top, total = min(lows), max(highs), sum(volumes)
    width = (top - bottom) / num_bins
    if width <= 0 or total <= 0:
        return None
    edges = [bottom + k * width for k in range(num_bins)] + [top]
    filled = [0.0] * num_bins
    for low, high, volume in zip(lows, highs, volumes, strict=True):
        if high == low:
            number = max(k for k in range(num_bins) if edges[k] <= low)
            filled[number] += volume
            continue
        for k in range(num_bins):
            overlap = min(high, edges[k + 1]) - max(low, edges[k])
            if overlap > 0:
                filled[k] += volume * overlap / (high - low)
    gathered = 0.0
    for k in reversed(range(num_bins)):
        gathered += filled[k]
        if gathered >= (share - 1e-12) * total:
            return edges[k]
    raise AssertionError("the lowest bin holds the rest")


def slow_breakouts(bars, params):
    window, buffer = params["volume_window"], params["breakout_buffer"]
    wicks = params["include_wicks"]
    lows = (bars.low if wicks else np.minimum(bars.open, bars.close)).tolist()
    highs = (bars.high if wicks else np.maximum(bars.open, bars.close)).tolist()
    enter = [False] * len(bars)
    for i in range(window, len(bars)):
        part = slice(i - window, i)
        volumes = bars.volume[part].tolist()
        level = slow_resistance(lows[part], highs[part], volumes, params["num_bins"], params["top_percentile"])
        enter[i] = level is not None and bars.high[i] >= level * (1 + buffer)
    return enter


@pytest.mark.parametrize("seed", range(60))
def test_volume_zone_breakout_equals_its_rule(seed):
    rng = np.random.default_rng(seed)
    bars = random_bars(rng, 160, spread=float(rng.choice([0.001, 0.02])), decimals=int(rng.choice([0, 1, 4])))
    params = {
        "volume_window": int(rng.choice([1, 2, 3, 10, 50])),
        "top_percentile": float(rng.choice([0.05, 0.2, 0.5, 0.9, 1.0])),
        "breakout_buffer": float(rng.choice([0.0, 0.01])),
        "num_bins": int(rng.choice([1, 2, 7, 20, 200])),
        "include_wicks": bool(rng.integers(2)),
    }
    wishes, hold = wishes_of(bars, "volume_zone_breakout", **params)
    assert has(wishes, ENTER).tolist() == slow_breakouts(bars, params)
    assert not has(wishes, EXIT | ENTER_SHORT | EXIT_SHORT).any()
    assert hold == 1


def test_volume_zone_breakout_equals_its_rule_on_real_bars():
    bars = real_bars("KRW-DOGE_1h").slice(0, 4000)
    params = spec_of("volume_zone_breakout").params
    wishes, _ = wishes_of(bars, "volume_zone_breakout")
    assert has(wishes, ENTER).tolist() == slow_breakouts(bars, params)


@pytest.mark.parametrize("factor", [1.0, 1.001, 1.37])
def test_bins_below_a_price_when_bins_are_hardly_wider_than_rounding(factor):
    rng = np.random.default_rng(4)
    for _ in range(300):
        lowest = float(rng.uniform(1e11, 1e12))
        width = float(np.exp(rng.uniform(-4, 1))) * np.spacing(lowest)
        high = lowest * factor + float(rng.integers(-3, 9)) * np.spacing(lowest)
        reached = sum(high >= (lowest + k * width) * factor for k in range(40))
        assert bins_below(high, lowest, width, 40, factor) == reached


def test_volume_zone_by_hand():
    # One bar of range 10 to 20 with ten bins of 1: the top 20% of its volume lie above 18.
    rows = [(10, 20, 10, 20, 100.0), (17, 17.99, 17, 17.5, 1.0)]
    params = {"volume_window": 1, "num_bins": 10}
    assert not has(wishes_of(bars_of(rows), "volume_zone_breakout", **params)[0], ENTER)[1]
    rows[1] = (17, 18.0, 17, 17.5, 1.0)
    assert has(wishes_of(bars_of(rows), "volume_zone_breakout", **params)[0], ENTER)[1]
    assert not has(wishes_of(bars_of(rows), "volume_zone_breakout", **params, breakout_buffer=0.001)[0], ENTER)[1]


def test_volume_zone_needs_range_and_volume():
    flat = flat_bars([5.0] * 30)
    assert not wishes_of(flat, "volume_zone_breakout")[0].any()
    silent = bars_of([(10, 20, 10, 20, 0.0)] * 30)
    assert not wishes_of(silent, "volume_zone_breakout")[0].any()


def test_a_price_on_an_edge_belongs_to_the_bin_above():
    # Range 0+1..11 in ten bins of 1; all of the deciding volume at exactly 6, the lower edge of its bin.
    rows = [(1, 11, 1, 11, 0.0), (6, 6, 6, 6, 9.0), (6, 6, 6, 6, 1.0)]
    params = {"volume_window": 2, "num_bins": 10, "top_percentile": 1.0}
    assert has(wishes_of(bars_of(rows), "volume_zone_breakout", **params)[0], ENTER)[2]
    rows[2] = (5.9, 5.999, 5.9, 5.9, 1.0)
    assert not has(wishes_of(bars_of(rows), "volume_zone_breakout", **params)[0], ENTER)[2]


# -- volume_long_candle ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_volume_long_candle_equals_its_rule(seed):
    rng = np.random.default_rng(seed)
    bars = random_bars(rng, 400, spread=0.01)
    params = {"vol_ma_window": int(rng.integers(1, 30)), "vol_multiplier": 1.1, "body_pct": 0.004}
    expected = []
    for i in range(len(bars)):
        recent = bars.volume[max(0, i + 1 - params["vol_ma_window"]) : i + 1]
        open_, high, low, close = (float(column[i]) for column in (bars.open, bars.high, bars.low, bars.close))
        expected.append(
            bool(
                bars.volume[i] >= params["vol_multiplier"] * sum(recent) / len(recent)
                and (close - open_) / open_ >= params["body_pct"]
                and close > open_
                and max(0, (high - close) / open_) < 2 * params["body_pct"]
                and max(0, (open_ - low) / open_) < 2 * params["body_pct"]
            )
        )
    wishes, hold = wishes_of(bars, "volume_long_candle", **params)
    assert has(wishes, ENTER).tolist() == expected
    assert any(expected)
    assert hold == 1


# -- sma_cross ---------------------------------------------------------------------------------------------------------


def slow_crosses(closes, fast, slow):
    """In exact arithmetic on the closes as they are written."""
    exact = [Fraction(repr(float(close))) for close in closes]
    enter, leave = [False] * len(exact), [False] * len(exact)

    def apart(i):
        return sum(exact[i - fast + 1 : i + 1]) / fast - sum(exact[i - slow + 1 : i + 1]) / slow

    for i in range(slow, len(exact)):
        before, now = apart(i - 1), apart(i)
        enter[i] = before <= 0 < now
        leave[i] = before >= 0 > now
    return enter, leave


@pytest.mark.parametrize("decimals", [0, 1, 2, 8])
@pytest.mark.parametrize("seed", range(5))
def test_sma_cross_is_exact_on_markets_that_hardly_move(seed, decimals):
    rng = np.random.default_rng(seed)
    steps = rng.choice([-1, 0, 0, 0, 0, 1], 600)
    closes = np.round(100 + np.cumsum(steps) * 10.0**-decimals, decimals)
    fast, slow = [(1, 2), (2, 3), (5, 10), (10, 30), (7, 45)][seed]
    wishes, _ = wishes_of(flat_bars(closes), "sma_cross", fast=fast, slow=slow)
    enter, leave = slow_crosses(closes, fast, slow)
    assert has(wishes, ENTER).tolist() == enter
    assert has(wishes, EXIT).tolist() == leave
    assert has(wishes, ENTER_SHORT).tolist() == leave
    assert has(wishes, EXIT_SHORT).tolist() == enter
    assert any(enter)
    assert any(leave)


@pytest.mark.parametrize("scale", [1e-8, 1e-3, 1.0, 1e12])
def test_sma_cross_on_closes_that_are_no_short_decimals(scale):
    rng = np.random.default_rng(3)
    closes = np.repeat(np.exp(rng.normal(0, 0.01, 80)) * scale, rng.integers(1, 50, 80))
    wishes, _ = wishes_of(flat_bars(closes), "sma_cross", fast=4, slow=9)
    exact = [Fraction(float(close)) for close in closes]  # as binary numbers
    signs = [
        np.sign(sum(exact[i - 3 : i + 1]) / 4 - sum(exact[i - 8 : i + 1]) / 9) if i >= 8 else 0
        for i in range(len(exact))
    ]
    enter = [i >= 9 and signs[i - 1] <= 0 < signs[i] for i in range(len(exact))]
    assert has(wishes, ENTER).tolist() == enter


def test_sma_cross_after_a_crash_from_a_giant_price():
    # What rounding leaves of the giant in a sliding sum is larger than the prices after it.
    closes = [1e12, 1e12 + 0.3] * 20 + [0.0001, 0.0002, 0.0001, 0.0004] * 60
    wishes, _ = wishes_of(flat_bars(closes), "sma_cross", fast=3, slow=8)
    assert has(wishes, ENTER).tolist() == slow_crosses(closes, 3, 8)[0]


# -- the textbook ones -------------------------------------------------------------------------------------------------


def test_rsi_reversion():
    bars = random_bars(np.random.default_rng(1), 500)
    wishes, _ = wishes_of(bars, "rsi_reversion", period=5, lower=35.0, upper=60.0)
    rsi = talib.RSI(bars.close, 5)
    assert (has(wishes, ENTER) == (rsi < 35)).all()
    assert (has(wishes, EXIT) == (rsi > 60)).all()
    assert (has(wishes, ENTER_SHORT) == (rsi > 65)).all()
    assert (has(wishes, EXIT_SHORT) == (rsi < 40)).all()


def test_rsi_of_a_flat_and_of_a_rising_market():
    flat, _ = wishes_of(flat_bars([3.0] * 30), "rsi_reversion")
    assert not flat.any()  # 50 is neither below 30 nor above 55
    rising, _ = wishes_of(flat_bars(np.arange(1.0, 31)), "rsi_reversion")
    assert has(rising, EXIT).tolist() == [i >= 14 for i in range(30)]  # 100


@pytest.mark.parametrize(("entry", "leave"), [(20, 10), (5, 12), (1, 1)])
def test_donchian_breakout(entry, leave):
    bars = random_bars(np.random.default_rng(2), 400)
    wishes, _ = wishes_of(bars, "donchian_breakout", entry=entry, exit=leave)
    enter = [i >= entry and bars.close[i] > max(bars.high[i - entry : i]) for i in range(len(bars))]
    exits = [i >= max(entry, leave) and bars.close[i] < min(bars.low[i - leave : i]) for i in range(len(bars))]
    short = [i >= entry and bars.close[i] < min(bars.low[i - entry : i]) for i in range(len(bars))]
    assert has(wishes, ENTER).tolist() == enter
    assert has(wishes, EXIT).tolist() == exits
    assert has(wishes, ENTER_SHORT).tolist() == short


def test_bollinger_reversion():
    bars = random_bars(np.random.default_rng(5), 500)
    wishes, _ = wishes_of(bars, "bollinger_reversion", period=10, deviations=1.5)
    upper, middle, lower = talib.BBANDS(bars.close, 10, 1.5, 1.5)
    assert (has(wishes, ENTER) == (bars.close < lower)).all()
    assert (has(wishes, EXIT) == (bars.close >= middle)).all()
    assert (has(wishes, ENTER_SHORT) == (bars.close > upper)).all()


def test_bollinger_reversion_finds_nothing_below_the_band_of_a_flat_market():
    wishes, _ = wishes_of(flat_bars([0.1] * 100), "bollinger_reversion")
    assert not has(wishes, ENTER | ENTER_SHORT).any()


def test_macd_cross():
    bars = random_bars(np.random.default_rng(6), 500)
    wishes, _ = wishes_of(bars, "macd_cross")
    line, signal, _ = talib.MACD(bars.close, 12, 26, 9)
    apart = line - signal
    crossed = np.r_[False, (apart[:-1] <= 0) & (apart[1:] > 0)]
    assert (has(wishes, ENTER) == crossed).all()
    assert crossed.any()


def test_buy_and_hold():
    wishes, hold = wishes_of(flat_bars([1.0, 2.0, 3.0]), "buy_and_hold")
    assert wishes.tolist() == [ENTER, 0, 0]
    assert hold is None


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("length", [1, 2, 30])
def test_every_strategy_survives_a_few_bars(name, length):
    bars = random_bars(np.random.default_rng(7), length)
    assert len(wishes_of(bars, name)[0]) == length


@pytest.mark.parametrize("name", [name for name, strategy in STRATEGIES.items() if strategy.memory])
def test_signals_computed_piece_by_piece_are_the_same(name):
    bars = random_bars(np.random.default_rng(8), 700, spread=0.003, decimals=1)
    spec = spec_of(name)
    source = WishSource(get_strategy(name), bars, spec.params)
    whole = source.compute(bars)
    pieces = [source.wishes(start, min(start + 53, 700)) for start in range(0, 700, 53)]
    assert (np.concatenate(pieces) == whole).all()
    assert whole.any() or name == "volume_long_candle"


@pytest.mark.parametrize("name", STRATEGIES)
def test_no_signal_comes_before_the_warm_up(name):
    bars = random_bars(np.random.default_rng(9), 300)
    spec = spec_of(name)
    wishes, _ = wishes_of(bars, name)
    assert not wishes[: get_strategy(name).warmup(spec.params)].any()
