"""Bars that cannot be traded on are refused with the row, the column and the reason; odd but sound ones are taken."""

import numpy as np
import pytest

from engine.bars import Bars, validate_bars
from engine.errors import BarsError, EquityOverflow
from engine.metrics import summarise, summarise_symbol
from engine.portfolio import combine
from engine.simulation import simulate
from engine.spec import Exits, parse_spec
from tests.engine.made import bars_of, flat_bars, random_bars, spec_of


def broken(row, **values):
    bars = random_bars(np.random.default_rng(0), 50_000)
    columns = {name: getattr(bars, name).copy() for name in Bars.__slots__}
    for name, value in values.items():
        columns[name][row] = value
    return Bars(**columns)


@pytest.mark.parametrize("row", [0, 1, 16_383, 16_384, 16_385, 49_999])
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("open", np.nan), ("high", np.inf), ("low", -1.0), ("close", 0.0), ("low", 1e9), ("high", 1e-9),
        ("volume", -1.0), ("volume", np.nan), ("volume", np.inf), ("close", -np.inf),
    ],
)  # fmt: skip
def test_a_bad_value_is_named(row, column, value):
    with pytest.raises(BarsError) as caught:
        validate_bars(broken(row, **{column: value}))
    assert caught.value.row == row
    assert caught.value.column == column
    assert f"bar {row}: {column} was" in str(caught.value)
    assert caught.value.permanent


@pytest.mark.parametrize("row", [1, 16_384, 49_999])
def test_bars_must_be_in_order_and_once_each(row):
    bars = random_bars(np.random.default_rng(0), 50_000)
    for earlier in (0, 1):
        timestamp = bars.timestamp.copy()
        timestamp[row] = timestamp[row - 1] - earlier
        columns = {name: getattr(bars, name) for name in Bars.__slots__}
        with pytest.raises(BarsError, match=f"bar {row}: timestamp was"):
            validate_bars(Bars(**{**columns, "timestamp": timestamp}))


def test_no_bars_unequal_lengths_and_text_are_refused():
    bars = flat_bars([1.0, 2.0])
    columns = {name: getattr(bars, name) for name in Bars.__slots__}
    with pytest.raises(BarsError, match="at least one bar"):
        validate_bars(bars.slice(0, 0))
    with pytest.raises(BarsError, match="one value for each of the 2 timestamps"):
        validate_bars(Bars(**{**columns, "close": columns["close"][:1]}))
    with pytest.raises(BarsError, match="array of float64"):
        validate_bars(Bars(**{**columns, "close": np.array(["a", "b"])}))


def test_validated_bars_are_read_only_and_the_caller_s_stay_as_they_are():
    bars = flat_bars([1.0, 2.0])
    clean = validate_bars(bars)
    assert not clean.close.flags.writeable
    assert bars.close.flags.writeable
    assert np.shares_memory(clean.close, bars.close)


def test_lists_and_integers_are_taken():
    rows = [1, 2, 3]
    bars = validate_bars(Bars(rows, rows, rows, rows, rows, rows))
    assert bars.close.dtype == np.float64
    assert bars.timestamp.dtype == np.int64


def check_all_finite(bars, strategy, **fields):
    run = simulate(bars, spec_of(strategy, **fields))
    values = [*summarise({"A-B": run}, combine({"A-B": run})).values(), *summarise_symbol(run).values()]
    assert all(value is None or np.isfinite(value) for value in values)
    assert all(value is None or type(value) in (int, float) for value in values)
    assert np.isfinite(run.equity).all()
    return run


@pytest.mark.parametrize("strategy", ["sma_cross", "volume_zone_breakout", "buy_and_hold", "rsi_reversion"])
@pytest.mark.parametrize(
    "bars",
    [
        flat_bars([100.0]),
        flat_bars([100.0, 101.0]),
        flat_bars([5.0] * 300),
        bars_of([(10, 11, 9, 10, 0.0)] * 300),
        random_bars(np.random.default_rng(1), 300, price=1e-8, decimals=12),
        random_bars(np.random.default_rng(2), 300, price=1e12, decimals=0),
        random_bars(np.random.default_rng(3), 300, spread=0.5),
    ],
    ids=["one bar", "two bars", "flat", "no volume", "tiny prices", "giant prices", "wild"],
)
@pytest.mark.parametrize("direction", ["long", "both"])
def test_odd_bars_give_a_result_without_a_single_nan(bars, strategy, direction):
    check_all_finite(bars, strategy, direction=direction, exits=Exits(stop_loss=0.01, take_profit=0.01))
    check_all_finite(bars, strategy, direction=direction, fill="same_close")


def test_a_short_that_loses_more_than_everything_has_no_nan_either():
    bars = flat_bars([100.0, 90.0, 80.0, 70.0, *[60.0] * 30, 50.0, 45.0, 500.0, 900.0, 1000.0])
    run = check_all_finite(bars, "sma_cross", params={"fast": 1, "slow": 2}, direction="both")
    assert run.final_equity < 0
    assert run.unfilled_orders > 0  # nothing left to trade with


def test_bars_on_which_every_trade_wins_end_with_a_sentence_and_not_with_infinity():
    count = 200_000
    close = 100 + 10 * np.sin(np.arange(count) / 9)
    open_ = np.concatenate([close[:1], close[:-1]])
    bars = Bars(
        timestamp=np.arange(count, dtype=np.int64) * 60_000_000,
        open=open_,
        high=np.maximum(open_, close) + 0.5,
        low=np.minimum(open_, close) - 0.5,
        close=close,
        volume=np.ones(count),
    )
    spec = parse_spec(
        {
            "strategy": "volume_zone_breakout",
            "symbols": ["USD-BTC"],
            "timeframe": "1m",
            "start_date": "2024-01-01",
            "end_date": "2024-06-01",
            "costs": {"fee_rate": 0, "slippage_rate": 0},
        }
    )
    with pytest.raises(EquityOverflow, match="fixed_notional"):
        simulate(bars, spec)
