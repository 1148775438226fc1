"""Every other exchange, by the library ccxt: an extra that is loaded when it is used."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from importlib import import_module
from typing import Any, TypeVar

import requests

from storage_core.bar_store import SYMBOL, TIMEFRAMES
from workers.exchanges import Page, Pause, client
from workers.exchanges.candles import instant_of, make_page, millis_of, slot_after
from workers.exchanges.errors import (
    BadAnswer,
    ExchangeBusy,
    ExchangeError,
    ExchangeFailed,
    ExchangeRefused,
    ExchangeUnreachable,
    NotInstalled,
    UnknownMarket,
    UnknownTimeframe,
)

PER_PAGE, MOST_PER_PAGE = 200, 1000
"""Bars a request where ccxt does not say how many an exchange gives, and at most."""
BEGINNING = datetime(2011, 1, 1, tzinfo=UTC)
"""No exchange that ccxt knows has older bars."""
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
        self._retry_after: str | None = None
        self._at = datetime.now(UTC)
        self._exchange = getattr(self._ccxt, name)({"enableRateLimit": True, "timeout": 20_000})
        self._exchange.session.hooks["response"].append(self._look)
        offered: Mapping[str, str] = self._exchange.timeframes or {}
        self.timeframes = {ours: ours for ours in TIMEFRAMES if ours in offered}
        self._per_page = _per_page(self._exchange.features)

    def symbols(self) -> Sequence[str]:
        """Every spot market whose name we can spell."""
        markets = self._asked(self._exchange.load_markets)
        named = (f"{one.get('quote')}-{one.get('base')}" for one in markets.values() if one.get("spot", True))
        return sorted({name for name in named if SYMBOL.fullmatch(name)})

    def first(self, symbol: str, timeframe: str) -> datetime | None:
        """The first day with a bar: before it some exchanges give nothing, page after page, and days are few pages."""
        self._check(symbol, timeframe)
        at: datetime = BEGINNING
        while "1d" in self.timeframes:
            page = self.page(symbol, "1d", start=at, end=datetime.now(UTC))
            if len(page.timestamp):
                return instant_of(int(page.timestamp[0]) // 1000)
            if page.next is None:
                break
            at = page.next
        return at

    def page(self, symbol: str, timeframe: str, *, start: datetime, end: datetime) -> Page:
        """What one call of fetch_ohlcv gives; where it gives nothing, the next page begins that many bars later."""
        self._check(symbol, timeframe)
        quote, _, base = symbol.partition("-")
        found = self._asked(
            lambda: self._exchange.fetch_ohlcv(f"{base}/{quote}", timeframe, millis_of(start), self._per_page)
        )
        if not isinstance(found, list) or not all(_is_candle(one) for one in found):
            raise BadAnswer(self.name, "its answer is not a list of candles")
        now, seconds = self._at, TIMEFRAMES[timeframe]
        last = max((one[0] for one in found if one[0] >= millis_of(start)), default=None)
        after = start + timedelta(seconds=self._per_page * seconds) if last is None else slot_after(last, seconds)
        go_on = after if after < min(end, now) else None
        return make_page(self.name, found, between=(start, end), seconds=seconds, now=now, go_on=go_on)

    def close(self) -> None:
        """Give connections back."""
        self._exchange.session.close()

    def _check(self, symbol: str, timeframe: str) -> None:
        if timeframe not in self.timeframes:
            raise UnknownTimeframe(self.name, timeframe, list(self.timeframes))
        quote, _, base = symbol.partition("-")
        if f"{base}/{quote}" not in self._asked(self._exchange.load_markets):
            raise UnknownMarket(self.name, symbol, get_close_matches(symbol, self.symbols(), n=3))

    def _look(self, response: requests.Response, **_: object) -> None:
        """What ccxt passes over: it reads half an answer as one without candles, and waits for no `Retry-After`."""
        self._retry_after = response.headers.get("Retry-After")
        self._at = client.clock(response.headers.get("Date"))
        if response.status_code in (403, 451):
            raise ExchangeRefused(self.name, f"it refuses to answer here ({response.status_code})")
        if response.status_code == 200 and not response.headers.get("Content-Type", "").startswith("text/"):
            try:
                response.json()
            except (ValueError, RecursionError) as error:
                raise BadAnswer(self.name, "its answer is not whole JSON") from error

    def _asked(self, ask: Callable[[], T]) -> T:
        """The answer, asked for again while what is wrong may pass. Raises ExchangeError."""
        wait = client.FIRST_PAUSE
        for attempt in range(1, client.TRIES + 1):
            self._pause(0)
            try:
                return self._once(ask)
            except ExchangeBusy as busy:
                if attempt == client.TRIES or busy.seconds > client.LONGEST_WAIT:
                    raise
                self._pause(busy.seconds)
            except ExchangeError as error:
                if error.permanent or attempt == client.TRIES:
                    raise
                self._pause(wait)
                wait = min(2 * wait, client.LONGEST_PAUSE)
        raise AssertionError("unreachable: the last attempt answers or raises")

    def _once(self, ask: Callable[[], T]) -> T:
        """The answer; errors of ccxt become ours."""
        try:
            return ask()
        except (self._ccxt.DDoSProtection, self._ccxt.RateLimitExceeded) as error:
            raise ExchangeBusy(self.name, client.patience(self._retry_after, 60.0)) from error
        except self._ccxt.ExchangeNotAvailable as error:
            raise ExchangeFailed(self.name, str(error)[:200]) from error
        except self._ccxt.NetworkError as error:
            raise ExchangeUnreachable(self.name, str(error)[:200]) from error
        except self._ccxt.OperationFailed as error:
            raise BadAnswer(self.name, str(error)[:200]) from error
        except self._ccxt.BaseError as error:
            raise ExchangeRefused(self.name, str(error)[:200]) from error
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise BadAnswer(self.name, f"ccxt cannot read its answer ({type(error).__name__})") from error


def _is_candle(row: object) -> bool:
    return isinstance(row, list) and len(row) >= 6 and isinstance(row[0], int)


def _per_page(features: Mapping[str, Any] | None) -> int:
    """More than an exchange gives would leave holes: some count back from the end of what was asked for."""
    said = ((features or {}).get("spot") or {}).get("fetchOHLCV") or {}
    return min(int(said.get("limit") or PER_PAGE), MOST_PER_PAGE)
