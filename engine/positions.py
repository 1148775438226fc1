"""PositionManager: the engine's step, one bar or signal at a time, for replay and live use."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from engine.bars import Bars, validate_bars
from engine.errors import BarsError
from engine.kernels.orders import begin
from engine.kernels.records import EXIT_REASONS, STATE, TRADE, Records
from engine.kernels.step import decide_again, step_once, value_open
from engine.rules import rules_of
from engine.signals import Wish
from engine.spec import BacktestSpec
from engine.trades import Trades, trades_of

_log = logging.getLogger(__name__)

Key = tuple[str, str]


class Bar(NamedTuple):
    """One bar: open time in microseconds UTC, prices in the quote currency, volume in the base currency."""

    timestamp: int
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0


@dataclass(frozen=True, slots=True)
class Position:
    """A position held now, valued at the last close without an exit fee. side +1 long, -1 short; return_ a fraction."""

    symbol: str
    strategy: str
    side: int
    quantity: float
    entry_price: float
    entry_timestamp: int
    last_price: float
    pnl: float
    return_: float


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    """A round trip that has ended; fields as in Trades, times in microseconds UTC."""

    symbol: str
    strategy: str
    side: int
    quantity: float
    entry_timestamp: int
    entry_price: float
    exit_timestamp: int
    exit_price: float
    fee: float
    slippage: float
    pnl: float
    return_: float
    hold_bars: int
    exit_reason: str


@dataclass(frozen=True, slots=True)
class PositionSummary:
    """All keys together. Money but for counts; win_rate = wins / closed trades, None before the first."""

    open_positions: int
    open_pnl: float
    realised_pnl: float
    fees: float
    slippage: float
    trades: int
    wins: int
    losses: int
    win_rate: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """What to call after something happened; one that raises is logged, and changes nothing.

    `on_closed` gets the trade, its pnl in money and its return in percent.
    """

    on_opened: Callable[[Position], None] | None = None
    on_closed: Callable[[ClosedTrade, float, float], None] | None = None
    on_updated: Callable[[Position], None] | None = None


class PositionManager:
    """Positions of any number of (symbol, strategy) pairs, each with its own initial cash, under one spec's rules.

    Feed each pair its bars with on_bar, and with each bar, or after it, the strategy's wish at that bar's close. Fed
    like that it makes the trades of `simulate` to the last bit. `hold_bars`: the strategy's own time exit.
    """

    def __init__(self, spec: BacktestSpec, *, hold_bars: int | None = None, callbacks: Callbacks | None = None) -> None:
        self._rules = rules_of(spec, hold_bars)
        self._cash = spec.initial_cash
        self._callbacks = callbacks or Callbacks()
        self._books: dict[Key, _Book] = {}

    def on_bar(self, symbol: str, strategy: str, bar: Bar, wish: Wish = Wish.NOTHING) -> float:
        """Take the next bar of a pair, and the wish at its close if it is known already; the equity at the close.

        Raises BarsError for a bar that is not sound, or not later than the one before; nothing changes then.
        """
        book = self._books.get((symbol, strategy))
        if book is None:
            book = _Book(symbol, strategy, self._cash)
        book.check(bar)
        self._books[symbol, strategy] = book
        with _Changes(book, self._callbacks):
            return book.take(self._rules, bar, wish)

    def on_signal(self, symbol: str, strategy: str, wish: Wish) -> float:
        """Take a wish at the close of the pair's last bar; the equity after it. KeyError before the first bar."""
        book = self._books[symbol, strategy]
        with _Changes(book, self._callbacks):
            return book.decide(self._rules, wish)

    def open_positions(self, *, symbol: str | None = None, strategy: str | None = None) -> list[Position]:
        """The positions held now, of one symbol or strategy when given."""
        return [
            position
            for book in self._books.values()
            if symbol in (None, book.symbol) and strategy in (None, book.strategy)
            if (position := book.position()) is not None
        ]

    def closed_trades(self, *, limit: int | None = None) -> list[ClosedTrade]:
        """The trades that have ended, latest exit first, at most `limit` of them."""
        trades = [trade for book in self._books.values() for trade in book.closed()]
        trades.sort(key=lambda trade: trade.exit_timestamp, reverse=True)
        return trades[:limit]

    def trades(self, symbol: str, strategy: str) -> Trades:
        """All trades of a pair, in order of entry, as simulate gives them. KeyError for an unknown pair."""
        return trades_of(self._books[symbol, strategy].rows())

    def summary(self) -> PositionSummary:
        """Open and realised pnl, costs and outcomes over all pairs."""
        rows = [row for book in self._books.values() for row in book.rows()]
        done = [row for row in rows if row.exit_bar >= 0]
        wins = sum(row.pnl > 0 for row in done)
        return PositionSummary(
            open_positions=len(rows) - len(done),
            open_pnl=float(sum(row.pnl for row in rows if row.exit_bar < 0)),
            realised_pnl=float(sum(row.pnl for row in done)),
            fees=float(sum(row.fee for row in rows)),
            slippage=float(sum(row.slippage for row in rows)),
            trades=len(done),
            wins=int(wins),
            losses=int(sum(row.pnl < 0 for row in done)),
            win_rate=float(wins / len(done)) if done else None,
        )


class _Book:
    """One pair: the kernels' state and trade log, and the times of its bars at which something happened."""

    def __init__(self, symbol: str, strategy: str, cash: float) -> None:
        self.symbol = symbol
        self.strategy = strategy
        self.state: Records = np.zeros(1, dtype=STATE)
        self.log: Records = np.zeros(8, dtype=TRADE)
        self.times: dict[int, int] = {}
        self.number = -1
        self.last: Bar | None = None
        begin(self.state, cash)

    @property
    def count(self) -> int:
        return int(self.state[0].trades)

    def rows(self) -> Any:
        return self.log[: self.count]

    def check(self, bar: Bar) -> None:
        one = {name: np.array([value]) for name, value in bar._asdict().items()}
        try:
            validate_bars(Bars(**one))
        except BarsError as error:
            raise BarsError(self.number + 1, error.column, error.was, error.allowed) from None
        if self.last is not None and bar.timestamp <= self.last.timestamp:
            raise BarsError(self.number + 1, "timestamp", bar.timestamp, "later than the bar before")

    def take(self, rules: Records, bar: Bar, wish: Wish) -> float:
        self.number += 1
        self.last = bar
        self.make_room()
        prices = (float(bar.open), float(bar.high), float(bar.low), float(bar.close))
        equity = step_once(self.state, rules, self.log, self.number, prices, int(wish))
        return self.valued(equity)

    def decide(self, rules: Records, wish: Wish) -> float:
        if self.last is None:
            raise KeyError((self.symbol, self.strategy))
        self.make_room()
        equity = decide_again(self.state, rules, self.log, self.number, float(self.last.close), int(wish))
        return self.valued(equity)

    def make_room(self) -> None:
        if self.count + 2 > len(self.log):
            self.log = np.concatenate([self.log, np.zeros_like(self.log)])

    def valued(self, equity: float) -> float:
        if self.last is not None:
            value_open(self.state, self.log, self.number, float(self.last.close))
        return float(equity)

    def position(self) -> Position | None:
        if self.last is None or self.state[0].quantity == 0.0:
            return None
        row = self.log[self.count - 1]
        return Position(
            symbol=self.symbol,
            strategy=self.strategy,
            side=int(row.side),
            quantity=float(row.quantity),
            entry_price=float(row.entry_price),
            entry_timestamp=self.times[int(row.entry_bar)],
            last_price=self.last.close,
            pnl=float(row.pnl),
            return_=float(row.return_),
        )

    def closed(self) -> Iterator[ClosedTrade]:
        for row in self.rows():
            if row.exit_bar >= 0:
                yield self.trade(row)

    def trade(self, row: Any) -> ClosedTrade:
        return ClosedTrade(
            symbol=self.symbol,
            strategy=self.strategy,
            side=int(row.side),
            quantity=float(row.quantity),
            entry_timestamp=self.times[int(row.entry_bar)],
            entry_price=float(row.entry_price),
            exit_timestamp=self.times[int(row.exit_bar)],
            exit_price=float(row.exit_price),
            fee=float(row.fee),
            slippage=float(row.slippage),
            pnl=float(row.pnl),
            return_=float(row.return_),
            hold_bars=int(row.hold_bars),
            exit_reason=EXIT_REASONS[row.exit_reason],
        )


class _Changes:
    """Watches a book while it takes a bar or a wish, and tells the callbacks afterwards what has become of it."""

    def __init__(self, book: _Book, callbacks: Callbacks) -> None:
        self.book = book
        self.callbacks = callbacks
        self.known = book.count
        self.held = book.state[0].quantity != 0.0

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None or self.book.last is None:
            return
        first = self.known - 1 if self.held else self.known
        for number in range(first, self.book.count):
            self.tell_of(number)
        position = self.book.position()
        if position is not None:
            _call(self.callbacks.on_updated, position)

    def tell_of(self, number: int) -> None:
        book, row = self.book, self.book.log[number]
        now = book.last.timestamp if book.last else 0
        if number >= self.known:
            book.times[int(row.entry_bar)] = now
            opened = Position(
                symbol=book.symbol,
                strategy=book.strategy,
                side=int(row.side),
                quantity=float(row.quantity),
                entry_price=float(row.entry_price),
                entry_timestamp=now,
                last_price=float(row.entry_price),
                pnl=0.0,
                return_=0.0,
            )
            _call(self.callbacks.on_opened, opened)
        if row.exit_bar >= 0:
            book.times[int(row.exit_bar)] = now
            trade = book.trade(row)
            _call(self.callbacks.on_closed, trade, trade.pnl, 100.0 * trade.return_)


def _call(callback: Callable[..., None] | None, *arguments: object) -> None:
    if callback is None:
        return
    try:
        callback(*arguments)
    except Exception:
        _log.exception("a position callback failed: %r", callback)
