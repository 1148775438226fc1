"""PositionManager: the engine's step, one bar or signal at a time, for replay and live use."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from engine.position_book import Bar, Book, ClosedTrade, Position, PositionSummary
from engine.rules import rules_of
from engine.signals import Wish
from engine.spec import BacktestSpec
from engine.trades import Trades, trades_of

__all__ = ["Bar", "Callbacks", "ClosedTrade", "Position", "PositionManager", "PositionSummary"]

_log = logging.getLogger(__name__)

Key = tuple[str, str]


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
        self._books: dict[Key, Book] = {}

    def on_bar(self, symbol: str, strategy: str, bar: Bar, wish: Wish = Wish.NOTHING) -> float:
        """Take the next bar of a pair, and the wish at its close if it is known already; the equity at the close.

        Raises BarsError for a bar that is not sound, or not later than the one before; nothing changes then.
        """
        book = self._books.get((symbol, strategy))
        if book is None:
            book = Book(symbol, strategy, self._cash)
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


class _Changes:
    """Watches a book while it takes a bar or a wish, and tells the callbacks afterwards what has become of it."""

    def __init__(self, book: Book, callbacks: Callbacks) -> None:
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
            opened = replace(book.held(row), last_price=float(row.entry_price), pnl=0.0, return_=0.0)
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
