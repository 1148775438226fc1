"""Every other exchange, by the library ccxt: an extra that is loaded when it is used."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from importlib import import_module
from typing import Any, TypeVar

from storage_core.bar_store import SYMBOL, TIMEFRAMES
from workers.exchanges import Page, Pause
from workers.exchanges.candles import instant_of, make_page, millis_of
from workers.exchanges.errors import (
    BadAnswer,
    ExchangeFailed,
    ExchangeRefused,
    ExchangeUnreachable,
    NotInstalled,
    UnknownMarket,
    UnknownTimeframe,
)

PER_PAGE = 500
T = TypeVar("T")


class ByCcxt:
    """`name` as ccxt spells it; USDT-BTC here is BTC/USDT there. ccxt keeps to the exchange's limits."""

    def __init__(self, name: str, pause: Pause) -> None:
        self.name = f"ccxt:{name}"
        try:
            self._ccxt: Any = import_module("ccxt")
        except ImportError:
            raise NotInstalled(self.name) from None
        if name not in self._ccxt.exchanges:
            near = get_close_matches(name, self._ccxt.exchanges, n=3)
            raise ExchangeRefused(self.name, f"ccxt knows no such exchange; near to it: {', '.join(near) or 'nothing'}")
        self._pause = pause
        self._exchange = getattr(self._ccxt, name)({"enableRateLimit": True, "timeout": 20_000})
        offered: Mapping[str, str] = self._exchange.timeframes or {}
        self.timeframes = {ours: ours for ours in TIMEFRAMES if ours in offered}

    def symbols(self) -> Sequence[str]:
        """Every spot market whose name we can spell."""
        markets = self._asked(self._exchange.load_markets)
        named = (f"{one.get('quote')}-{one.get('base')}" for one in markets.values() if one.get("spot", True))
        return sorted({name for name in named if SYMBOL.fullmatch(name)})

    def first(self, symbol: str, timeframe: str) -> datetime | None:
        """Exchanges differ in whether they tell: the first page does."""
        self._check(symbol, timeframe)
        return datetime(2009, 1, 3, tzinfo=UTC)

    def page(self, symbol: str, timeframe: str, *, start: datetime, end: datetime) -> Page:
        """What one call of fetch_ohlcv gives."""
        self._check(symbol, timeframe)
        self._pause(0)
        quote, _, base = symbol.partition("-")
        found = self._asked(
            lambda: self._exchange.fetch_ohlcv(f"{base}/{quote}", timeframe, millis_of(start), PER_PAGE)
        )
        if not isinstance(found, list) or not all(isinstance(one, list) and len(one) >= 6 for one in found):
            raise BadAnswer(self.name, "its answer is not a list of candles")
        now, seconds = datetime.now(UTC), TIMEFRAMES[timeframe]
        last = max((int(one[0]) for one in found), default=None)
        after = None if last is None else instant_of(last) + timedelta(seconds=seconds)
        more = after is not None and start < after < min(end, now)
        return make_page(
            self.name, found, between=(start, end), seconds=seconds, now=now, go_on=after if more else None
        )

    def close(self) -> None:
        """Give connections back."""
        session = getattr(self._exchange, "session", None)
        if session is not None:
            session.close()

    def _check(self, symbol: str, timeframe: str) -> None:
        if timeframe not in self.timeframes:
            raise UnknownTimeframe(self.name, timeframe, list(self.timeframes))
        quote, _, base = symbol.partition("-")
        if f"{base}/{quote}" not in self._asked(self._exchange.load_markets):
            raise UnknownMarket(self.name, symbol, get_close_matches(symbol, self.symbols(), n=3))

    def _asked(self, ask: Callable[[], T]) -> T:
        """The answer; errors of ccxt become ours."""
        try:
            return ask()
        except self._ccxt.BadSymbol as error:
            raise ExchangeRefused(self.name, str(error)[:200]) from error
        except self._ccxt.ExchangeNotAvailable as error:
            raise ExchangeFailed(self.name, str(error)[:200]) from error
        except self._ccxt.NetworkError as error:
            raise ExchangeUnreachable(self.name, str(error)[:200]) from error
        except self._ccxt.BaseError as error:
            raise ExchangeRefused(self.name, str(error)[:200]) from error
