"""What happens in a bar and in which order, each rule in a case small enough to check by hand."""

import threading

import numpy as np
import pytest

from engine.errors import SpecError, StrategyError
from engine.kernels.records import EXIT_REASONS
from engine.simulation import simulate
from engine.spec import Costs, Exits, Sizing
from tests.engine.made import bars_of, flat_bars, random_bars, spec_of
from tests.engine.planted import CATALOG

FREE = Costs(fee_rate=0.0, slippage_rate=0.0)


def run(bars, plan, *, hold=None, costs=FREE, **fields):
    spec = spec_of("at", {"plan": plan, "hold": hold}, costs=costs, initial_cash=1000.0, **fields)
    return simulate(bars, spec, strategies=CATALOG)


def told(simulation):
    trades = simulation.trades
    rows = zip(
        trades.entry_bar, trades.exit_bar, trades.entry_price, trades.exit_price, trades.exit_reason, strict=True
    )
    return [(int(a), int(b), float(c), float(d), EXIT_REASONS[e]) for a, b, c, d, e in rows]


RISING = bars_of([(10 + i, 10.8 + i, 9.9 + i, 10.5 + i) for i in range(10)])


def test_next_open_fills_at_the_open_after_the_signal():
    assert told(run(RISING, "enter 1, exit 4")) == [(2, 5, 12.0, 15.0, "signal")]


def test_same_close_fills_at_the_signal_s_own_close():
    assert told(run(RISING, "enter 1, exit 4", fill="same_close")) == [(1, 4, 11.5, 14.5, "signal")]


def test_a_signal_on_the_last_bar_is_not_filled_under_next_open():
    assert len(run(RISING, "enter 9").trades) == 0
    left_open = run(RISING, "enter 3, exit 9")
    assert left_open.trades.exit_bar.tolist() == [-1]
    assert np.isnan(left_open.trades.exit_price[0])


def test_a_position_open_at_the_end_is_marked_at_the_last_close_without_an_exit_fee():
    result = run(RISING, "enter 3", costs=Costs(fee_rate=0.01, slippage_rate=0.0))
    trades = result.trades
    quantity = 1000 / (14 * 1.01)
    assert trades.quantity[0] == pytest.approx(quantity)
    assert trades.fee[0] == pytest.approx(0.01 * quantity * 14)
    assert trades.pnl[0] == pytest.approx(quantity * (19.5 - 14) - trades.fee[0])
    assert result.final_equity == pytest.approx(quantity * 19.5)
    assert EXIT_REASONS[trades.exit_reason[0]] == "open"
    assert trades.hold_bars[0] == 5


def test_costs_of_both_fills():
    result = run(RISING, "enter 1, exit 4", costs=Costs(fee_rate=0.001, slippage_rate=0.01))
    trades = result.trades
    quantity = 1000 / (12.12 * 1.001)
    assert trades.entry_price[0] == pytest.approx(12 * 1.01)
    assert trades.exit_price[0] == pytest.approx(15 * 0.99)
    assert trades.fee[0] == pytest.approx(0.001 * quantity * (12.12 + 14.85))
    assert trades.slippage[0] == pytest.approx(quantity * (0.12 + 0.15))
    assert result.final_equity == pytest.approx(quantity * 14.85 * 0.999)
    assert trades.return_[0] == pytest.approx(trades.pnl[0] / (quantity * 12.12))


def test_an_entry_while_open_and_an_exit_while_flat_are_ignored():
    assert told(run(RISING, "exit 0, enter 1, enter 2, enter 3, exit 4, exit 5")) == [(2, 5, 12.0, 15.0, "signal")]


def test_exit_and_entry_at_one_close_exit_first_then_enter_at_the_same_price():
    assert told(run(RISING, "enter 1, exit 4, enter 4, exit 6")) == [
        (2, 5, 12.0, 15.0, "signal"), (5, 7, 15.0, 17.0, "signal")
    ]  # fmt: skip
    turned = run(RISING, "enter 1, exit 4, enter_short 4", direction="both")
    assert turned.trades.side.tolist() == [1, -1]
    assert turned.trades.entry_bar.tolist() == [2, 5]


def test_long_and_short_entry_at_one_close_cancel_each_other():
    assert len(run(RISING, "enter 1, enter_short 1", direction="both").trades) == 0
    assert len(run(RISING, "enter 1, enter_short 1", direction="long").trades) == 1


def test_direction_says_which_signals_count():
    plan = "enter 1, exit 3, enter_short 4, exit_short 6"
    assert run(RISING, plan, direction="long").trades.side.tolist() == [1]
    assert run(RISING, plan, direction="short").trades.side.tolist() == [-1]
    assert run(RISING, plan, direction="both").trades.side.tolist() == [1, -1]


@pytest.mark.parametrize(("hold", "exits"), [(3, None), (None, 3), (3, 5), (5, 3)])
def test_the_earlier_time_exit_wins(hold, exits):
    exits = Exits(hold_bars=exits)
    assert told(run(RISING, "enter 1", hold=hold, exits=exits)) == [(2, 5, 12.0, 15.0, "time")]
    assert told(run(RISING, "enter 1", hold=hold, exits=exits, fill="same_close")) == [(1, 4, 11.5, 14.5, "time")]


def test_a_stop_fills_at_its_level_and_a_gap_at_the_open():
    exits = Exits(stop_loss=0.1)
    inside = bars_of([(10, 10, 10, 10)] * 2 + [(10, 10, 9.5, 9.8), (9.7, 9.8, 8.0, 8.5), (8, 8, 8, 8)])
    assert told(run(inside, "enter 0", exits=exits)) == [(1, 3, 10.0, 9.0, "stop")]
    gap = bars_of([(10, 10, 10, 10)] * 2 + [(10, 10, 9.5, 9.8), (8.5, 9.8, 8.0, 8.5), (8, 8, 8, 8)])
    assert told(run(gap, "enter 0", exits=exits)) == [(1, 3, 10.0, 8.5, "stop")]


def test_a_target_fills_at_its_level_and_a_gap_at_the_open():
    exits = Exits(take_profit=0.1)
    inside = bars_of([(10, 10, 10, 10)] * 2 + [(10, 12, 9.5, 9.8)])
    assert told(run(inside, "enter 0", exits=exits)) == [(1, 2, 10.0, 11.0, "target")]
    gap = bars_of([(10, 10, 10, 10)] * 2 + [(11.5, 12, 9.5, 9.8)])
    assert told(run(gap, "enter 0", exits=exits)) == [(1, 2, 10.0, 11.5, "target")]


def test_the_entry_s_own_bar_can_hit_unless_stops_wait_for_the_next():
    bars = bars_of([(10, 10, 10, 10), (10, 10, 8.5, 9.5), (9.4, 9.6, 9.2, 9.5), (9.5, 9.5, 8.9, 9.0)])
    assert told(run(bars, "enter 0", exits=Exits(stop_loss=0.1))) == [(1, 1, 10.0, 9.0, "stop")]
    later = Exits(stop_loss=0.1, stops_from="next_bar")
    assert told(run(bars, "enter 0", exits=later)) == [(1, 3, 10.0, 9.0, "stop")]
    same_close = run(bars, "enter 0", exits=Exits(stop_loss=0.1), fill="same_close")
    assert told(same_close) == [(0, 1, 10.0, 9.0, "stop")]


def test_stop_and_target_in_one_bar_take_the_stop_and_the_band_tells_the_other_case():
    bars = bars_of([(10, 10, 10, 10), (10, 12, 8, 10), (10, 10, 10, 10)])
    result = run(bars, "enter 0", exits=Exits(stop_loss=0.1, take_profit=0.1))
    assert told(result) == [(1, 1, 10.0, 9.0, "stop")]
    assert result.ambiguous_bars == 1
    assert result.worst_return == pytest.approx(-0.1)
    assert result.best_return == pytest.approx(0.1)


def test_a_bar_that_opens_beyond_its_stop_is_not_ambiguous_but_one_beyond_its_target_is():
    exits = Exits(stop_loss=0.1, take_profit=0.1, stops_from="next_bar")
    below = run(bars_of([(10, 10, 10, 10)] * 2 + [(8.5, 12, 8, 10)]), "enter 0", exits=exits)
    assert (told(below), below.ambiguous_bars) == ([(1, 2, 10.0, 8.5, "stop")], 0)
    above = run(bars_of([(10, 10, 10, 10)] * 2 + [(11.5, 12, 8, 10)]), "enter 0", exits=exits)
    assert (told(above), above.ambiguous_bars) == ([(1, 2, 10.0, 9.0, "stop")], 1)
    assert above.best_return == pytest.approx(0.15)


def test_a_waiting_exit_fills_before_a_stop_of_the_same_bar():
    bars = bars_of([(10, 10, 10, 10)] * 2 + [(9.5, 9.6, 8, 9)])
    assert told(run(bars, "enter 0, exit 1", exits=Exits(stop_loss=0.1))) == [(1, 2, 10.0, 9.5, "signal")]


def test_two_trades_can_close_in_one_bar():
    bars = bars_of([(10, 10, 10, 10)] * 3 + [(10, 10, 8, 9)])
    result = run(bars, "enter 0, exit 2, enter 2", exits=Exits(stop_loss=0.1))
    assert told(result) == [(1, 3, 10.0, 10.0, "signal"), (3, 3, 10.0, 9.0, "stop")]


def test_a_trailing_stop_follows_the_highest_high_but_not_within_its_bar():
    bars = bars_of([(10, 10, 10, 10), (10, 20, 10, 19.5), (19.5, 19.5, 17.9, 18), (18, 18, 18, 18)])
    result = run(bars, "enter 0", exits=Exits(trailing_stop=0.1))
    assert told(result) == [(1, 2, 10.0, 19.0, "trailing")]  # 20 less a tenth of the entry price
    short = bars_of([(20, 20, 20, 20), (20, 20, 10, 11), (11, 12.5, 10.5, 11), (11, 11, 11, 11)])
    result = run(short, "enter_short 0", exits=Exits(trailing_stop=0.1), direction="short")
    assert told(result) == [(1, 2, 20.0, 12.0, "trailing")]  # 10 and a tenth of the entry price


def test_short_posts_its_notional_and_gains_when_the_price_falls():
    bars = flat_bars([10.0, 10.0, 8.0, 8.0])
    result = run(bars, "enter_short 0, exit_short 2", direction="short", costs=Costs(fee_rate=0.01, slippage_rate=0.0))
    quantity = 1000 / (10 * 1.01)
    assert result.position.tolist() == pytest.approx([0, -quantity, -quantity, 0])
    assert result.final_equity == pytest.approx(1000 + quantity * (10 - 8) - 0.01 * quantity * (10 + 8))
    assert result.trades.mfe[0] == pytest.approx(0.2)


def test_excursions_are_signed_fractions_of_the_entry_price():
    bars = bars_of([(10, 10, 10, 10), (10, 13, 9, 12), (12, 14, 11, 12), (11, 30, 1, 20)])
    trades = run(bars, "enter 0, exit 2").trades
    assert trades.mfe[0] == pytest.approx(0.4)
    assert trades.mae[0] == pytest.approx(-0.1)  # the bar of the exit was left at its open


@pytest.mark.parametrize(
    ("sizing", "quantity"),
    [
        (Sizing(), 100 / 1.01),
        (Sizing(kind="fraction", value=0.25), 25 / 1.01),
        (Sizing(kind="fixed_notional", value=300.0), 30.0),
        (Sizing(kind="fixed_quantity", value=7.5), 7.5),
        (Sizing(quantity_step=0.1), 99.0),
        (Sizing(kind="fixed_quantity", value=0.3, quantity_step=0.1), 0.3),
    ],
)
def test_sizes(sizing, quantity):
    result = run(flat_bars([10.0] * 4), "enter 0", sizing=sizing, costs=Costs(fee_rate=0.01, slippage_rate=0.0))
    assert result.trades.quantity[0] == pytest.approx(quantity, rel=1e-12)


@pytest.mark.parametrize(
    "sizing",
    [
        Sizing(quantity_step=1000.0),
        Sizing(kind="fixed_notional", value=1001.0),
        Sizing(kind="fixed_quantity", value=100.0),
    ],
)
def test_an_order_of_nothing_or_beyond_the_cash_is_counted_not_filled(sizing):
    costs = Costs(fee_rate=0.01, slippage_rate=0.0)
    result = run(flat_bars([10.0] * 6), "enter 0, enter 3", sizing=sizing, costs=costs)
    assert len(result.trades) == 0
    assert result.unfilled_orders == 2
    assert result.equity.tolist() == [1000.0] * 6


def test_prices_round_to_the_tick_against_the_trader():
    costs = Costs(fee_rate=0.0, slippage_rate=0.001)
    trades = run(flat_bars([10.0] * 6), "enter 0, exit 2", sizing=Sizing(price_tick=0.25), costs=costs).trades
    assert trades.entry_price[0] == 10.25
    assert trades.exit_price[0] == 9.75


def test_equity_is_cash_plus_position_at_each_close():
    result = run(RISING, "enter 1, exit 4")
    assert result.equity.tolist() == pytest.approx([1000, 1000, *(1000 / 12 * close for close in (12.5, 13.5, 14.5))]
                                                    + [1250.0] * 5)  # fmt: skip
    assert result.cash == pytest.approx(result.equity - result.position * RISING.close)


def test_drawdown_starts_from_the_initial_cash():
    result = run(flat_bars([10.0, 10.0, 9.0, 9.0, 9.0]), "enter 0, exit 2")
    assert result.drawdown.max() == pytest.approx(0.1)
    halves = run(flat_bars([10.0, 10.0, 15.0, 7.5, 3.75]), "enter 0")
    assert halves.drawdown.max() == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("too_short", "enter must be a bool array of 300 values"),
        ("numbers", "enter must be a bool array"),
        ("nothing", "returned NoneType"),
        ("failing", "ZeroDivisionError: a bug"),
        ("meddling", "read-only"),
    ],
)
def test_a_strategy_that_breaks_its_contract_is_named(name, message):
    bars = random_bars(np.random.default_rng(1), 300)
    with pytest.raises(StrategyError, match=message) as caught:
        simulate(bars, spec_of(name), strategies=CATALOG)
    assert name in str(caught.value)
    assert caught.value.permanent


def test_an_unknown_strategy_is_refused():
    with pytest.raises(SpecError, match="did you mean 'sma_cross'"):
        simulate(RISING, spec_of("sma_cros"))


def test_progress_is_told_between_chunks_and_what_it_raises_stops_the_run():
    bars = random_bars(np.random.default_rng(1), 150_000)
    seen = []
    simulate(bars, spec_of("sma_cross"), lambda done, total: seen.append((done, total)))
    assert seen == [(65_536, 150_000), (131_072, 150_000), (150_000, 150_000)]

    class Stop(Exception):
        pass

    def stop(done, total):
        raise Stop

    with pytest.raises(Stop):
        simulate(bars, spec_of("sma_cross"), stop)


def test_threads_do_not_disturb_each_other():
    bars = random_bars(np.random.default_rng(1), 40_000)
    expected = simulate(bars, spec_of("sma_cross")).equity
    results = [None] * 6

    def work(number):
        results[number] = simulate(bars, spec_of("sma_cross")).equity

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(result, expected) for result in results)
