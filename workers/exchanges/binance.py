"""Binance (spot): klines, 1000 a request, asked for forwards.

https://developers.binance.com; 6,000 units of weight a minute and address, of which a page takes 2.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any, ClassVar

from storage_core.bar_store import SYMBOL, TIMEFRAMES
from workers.exchanges import Page, Pause
from workers.exchanges.candles import Row, instant_of, make_page, millis_of, slot_after
from workers.exchanges.client import Answer, Client, Pace, shared_pace
from workers.exchanges.errors import BadAnswer, ExchangeRefused, UnknownMarket

PER_PAGE = 1000
WEIGHT_LIMIT = 4_800  # of 6,000: others behind the same address need some too
NO_SUCH_SYMBOL = -1121
PER_SECOND = 15.0


class Binance:
    """USDT-BTC here is BTCUSDT there."""

    name = "binance"
    timeframes: ClassVar[Mapping[str, str]] = {name: name for name in TIMEFRAMES}

    def __init__(self, url: str, pause: Pause, *, pace: Pace | None = None, first_pause: float | None = None) -> None:
        pace = pace or shared_pace(url, PER_SECOND)
        self._client = Client(self.name, url, pace=pace, pause=pause, first_pause=first_pause)

    def symbols(self) -> Sequence[str]:
        """Every market whose name we can spell."""
        body = self._get("/api/v3/exchangeInfo", {"permissions": "SPOT"}).body
        markets = body.get("symbols") if isinstance(body, dict) else None
        if not isinstance(markets, list):
            raise BadAnswer(self.name, "its list of markets is not a list")
        named = (f"{one.get('quoteAsset')}-{one.get('baseAsset')}" for one in markets if isinstance(one, dict))
        return sorted(name for name in named if SYMBOL.fullmatch(name))

    def first(self, symbol: str, timeframe: str) -> datetime | None:
        """The time of its first candle."""
        found, _ = self._klines(symbol, {"interval": self.timeframes[timeframe], "startTime": 0, "limit": 1})
        return instant_of(_millis(found[0])) if found else None

    def page(self, symbol: str, timeframe: str, *, start: datetime, end: datetime) -> Page:
        """The first 1000 candles from `start` on."""
        found, now = self._klines(
            symbol,
            {
                "interval": self.timeframes[timeframe],
                "startTime": millis_of(start),
                "endTime": millis_of(end) - 1,
                "limit": PER_PAGE,
            },
        )
        seconds = TIMEFRAMES[timeframe]
        after = slot_after(max((_millis(one) for one in found), default=millis_of(end)), seconds)
        more = len(found) >= PER_PAGE and after < min(end, now)
        return make_page(
            self.name, found, between=(start, end), seconds=seconds, now=now, go_on=after if more else None
        )

    def close(self) -> None:
        """Give connections back."""
        self._client.close()

    def _klines(self, symbol: str, params: Mapping[str, str | int]) -> tuple[list[Row], datetime]:
        quote, _, base = symbol.partition("-")
        answer = self._get("/api/v3/klines", {"symbol": base + quote, **params})
        body: Any = answer.body
        if isinstance(body, dict):
            if body.get("code") == NO_SUCH_SYMBOL:
                raise UnknownMarket(self.name, symbol, get_close_matches(symbol, self.symbols(), n=3))
            raise ExchangeRefused(self.name, f"it answered {answer.status}: {str(body.get('msg', 'no reason'))[:200]}")
        if not isinstance(body, list) or not all(isinstance(one, list) and len(one) >= 6 for one in body):
            raise BadAnswer(self.name, "its answer is not a list of candles")
        return body, answer.at

    def _get(self, path: str, params: Mapping[str, str | int]) -> Answer:
        answer = self._client.get(path, params)
        used = answer.headers.get("X-MBX-USED-WEIGHT-1M", "0")
        if used.isdecimal() and int(used) >= WEIGHT_LIMIT:
            self._client.hold(60.0 - answer.at.second)  # the count begins anew with each minute
        return answer


def _millis(kline: Row) -> int:
    if not isinstance(kline[0], int):
        raise BadAnswer("binance", f"a candle has the time {str(kline[0])[:40]!r}")
    return kline[0]
