"""One pair's position and trades, stepped bar by bar, and the records that tell of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from engine.bars import Bars, validate_bars
from engine.errors import BarsError
from engine.kernels.orders import begin
from engine.kernels.records import EXIT_REASONS, STATE, TRADE, Records
from engine.kernels.step import decide_again, step_once, value_open
from engine.signals import Wish


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


class Book:
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
        return None if self.state[0].quantity == 0.0 else self.held(self.log[self.count - 1])

    def held(self, row: Any) -> Position:
        return Position(
            symbol=self.symbol,
            strategy=self.strategy,
            side=int(row.side),
            quantity=float(row.quantity),
            entry_price=float(row.entry_price),
            entry_timestamp=self.times[int(row.entry_bar)],
            last_price=float(self.last.close) if self.last else float(row.entry_price),
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
