"""PositionManager: callbacks, several pairs at once, and what it refuses."""

import logging

import numpy as np
import pytest

from engine.errors import BarsError
from engine.positions import Bar, Callbacks, PositionManager
from engine.signals import Wish
from engine.spec import Costs, Exits
from tests.engine.made import MINUTE, spec_of

SPEC = spec_of(
    "sma_cross", initial_cash=1000.0, costs=Costs(fee_rate=0.0, slippage_rate=0.0), exits=Exits(stop_loss=0.1)
)


def bar(number, open_, high=None, low=None, close=None):
    price = float(open_)
    return Bar(number * MINUTE, price, high or price, low or price, close or price)


def heard(spec=SPEC):
    events = []
    callbacks = Callbacks(
        on_opened=lambda position: events.append(("opened", position.symbol, position.entry_price)),
        on_closed=lambda trade, pnl, pnl_pct: events.append(("closed", trade.exit_reason, pnl, pnl_pct)),
        on_updated=lambda position: events.append(("updated", position.pnl)),
    )
    return PositionManager(spec, callbacks=callbacks), events


def test_callbacks_tell_what_happened_in_order():
    manager, events = heard()
    manager.on_bar("USD-BTC", "mine", bar(0, 10), Wish.ENTER)
    assert events == []
    manager.on_bar("USD-BTC", "mine", bar(1, 10, close=12.0, high=12.0))
    manager.on_bar("USD-BTC", "mine", bar(2, 12), Wish.EXIT)
    manager.on_bar("USD-BTC", "mine", bar(3, 11))
    assert events == [
        ("opened", "USD-BTC", 10.0),
        ("updated", 200.0),
        ("updated", 200.0),
        ("closed", "signal", 100.0, pytest.approx(10.0)),
    ]


def test_a_stop_on_the_bar_of_the_entry_opens_and_closes():
    manager, events = heard()
    manager.on_bar("USD-BTC", "mine", bar(0, 10), Wish.ENTER)
    manager.on_bar("USD-BTC", "mine", bar(1, 10, low=8.0))
    assert [event[:2] for event in events] == [("opened", "USD-BTC"), ("closed", "stop")]
    trade = manager.closed_trades()[0]
    assert (trade.entry_timestamp, trade.exit_timestamp, trade.hold_bars) == (MINUTE, MINUTE, 0)


def test_pairs_have_their_own_cash_and_can_be_asked_for():
    manager = PositionManager(SPEC)
    for symbol, strategy in (("USD-BTC", "one"), ("USD-BTC", "two"), ("USD-ETH", "one")):
        manager.on_bar(symbol, strategy, bar(0, 10), Wish.ENTER)
        manager.on_bar(symbol, strategy, bar(1, 10))
    assert len(manager.open_positions()) == 3
    assert [position.strategy for position in manager.open_positions(symbol="USD-BTC")] == ["one", "two"]
    assert [position.symbol for position in manager.open_positions(strategy="one")] == ["USD-BTC", "USD-ETH"]
    assert manager.open_positions(symbol="USD-ETH", strategy="two") == []
    assert all(position.quantity == 100.0 for position in manager.open_positions())


def test_summary_and_the_latest_trades():
    manager = PositionManager(SPEC)
    prices = [10, 10, 11, 11, 11, 10, 10, 12]
    wishes = [Wish.ENTER, Wish.EXIT, Wish.NOTHING, Wish.ENTER, Wish.EXIT, Wish.ENTER, Wish.NOTHING, Wish.NOTHING]
    assert manager.summary().win_rate is None
    for number, (price, wish) in enumerate(zip(prices, wishes, strict=True)):
        manager.on_bar("USD-BTC", "mine", bar(number, price), wish)
    summary = manager.summary()
    assert (summary.trades, summary.wins, summary.losses, summary.open_positions) == (2, 1, 1, 1)
    assert summary.win_rate == 0.5
    assert summary.realised_pnl == pytest.approx(100 - 100)
    assert summary.open_pnl == pytest.approx(200)
    assert [trade.pnl for trade in manager.closed_trades(limit=1)] == [pytest.approx(-100)]
    assert len(manager.closed_trades()) == 2


def test_a_callback_that_raises_is_reported_and_changes_nothing(caplog):
    def broken(*_):
        raise RuntimeError("no such channel")

    manager = PositionManager(SPEC, callbacks=Callbacks(on_opened=broken, on_closed=broken, on_updated=broken))
    quiet = PositionManager(SPEC)
    with caplog.at_level(logging.ERROR, logger="engine.positions"):
        for some in (manager, quiet):
            some.on_bar("USD-BTC", "mine", bar(0, 10), Wish.ENTER)
            some.on_bar("USD-BTC", "mine", bar(1, 10), Wish.EXIT)
            some.on_bar("USD-BTC", "mine", bar(2, 11))
    assert manager.closed_trades() == quiet.closed_trades()
    assert manager.summary() == quiet.summary()
    assert [record.exc_info[0] for record in caplog.records] == [RuntimeError] * 3


@pytest.mark.parametrize(
    ("bad", "column"),
    [(bar(1, -1), "open"), (bar(1, 10, high=9.0), "high"), (bar(0, 10), "timestamp"), (bar(1, np.nan), "open")],
)
def test_a_bad_bar_is_refused_and_changes_nothing(bad, column):
    manager = PositionManager(SPEC)
    manager.on_bar("USD-BTC", "mine", bar(0, 10), Wish.ENTER)
    with pytest.raises(BarsError) as caught:
        manager.on_bar("USD-BTC", "mine", bad)
    assert (caught.value.column, caught.value.row) == (column, 1)
    manager.on_bar("USD-BTC", "mine", bar(1, 10))
    assert len(manager.open_positions()) == 1


def test_a_refused_first_bar_leaves_no_trace():
    manager = PositionManager(SPEC)
    with pytest.raises(BarsError):
        manager.on_bar("USD-BTC", "mine", bar(0, -1))
    with pytest.raises(KeyError):
        manager.on_signal("USD-BTC", "mine", Wish.ENTER)


def test_same_close_acts_on_a_signal_at_once():
    manager = PositionManager(spec_of("sma_cross", initial_cash=1000.0, fill="same_close"))
    manager.on_bar("USD-BTC", "mine", bar(0, 10))
    assert manager.open_positions() == []
    manager.on_signal("USD-BTC", "mine", Wish.ENTER)
    assert len(manager.open_positions()) == 1
