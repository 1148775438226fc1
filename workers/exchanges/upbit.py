"""Upbit: candles by minutes and days, 200 a request, asked for backwards from an instant.

https://docs.upbit.com; ten requests a second and address; a minute without a trade has no candle.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any, ClassVar

from storage_core.bar_store import TIMEFRAMES
from workers.exchanges import Page, Pause
from workers.exchanges.candles import Row, make_page, millis_of
from workers.exchanges.client import Answer, Client, Pace, shared_pace
from workers.exchanges.errors import BadAnswer, ExchangeRefused, UnknownMarket

PER_PAGE = 200
PER_SECOND = 8.0
_FIELDS = ("opening_price", "high_price", "low_price", "trade_price", "candle_acc_trade_volume")


class Upbit:
    """Its symbols are spelled like ours."""

    name = "upbit"
    timeframes: ClassVar[Mapping[str, str]] = {
        "1m": "minutes/1", "5m": "minutes/5", "15m": "minutes/15", "1h": "minutes/60", "4h": "minutes/240",
        "1d": "days",
    }  # fmt: skip

    def __init__(self, url: str, pause: Pause, *, pace: Pace | None = None, first_pause: float | None = None) -> None:
        pace = pace or shared_pace(url, PER_SECOND)
        self._client = Client(self.name, url, pace=pace, pause=pause, first_pause=first_pause)

    def symbols(self) -> Sequence[str]:
        """Every market."""
        answer = self._get("/v1/market/all", {"is_details": "false"})
        return sorted(str(_field(one, "market")) for one in _list(answer.body))

    def first(self, symbol: str, timeframe: str) -> datetime | None:
        """The month in which it began to trade: 200 months are one request."""
        found, _ = self._candles("months", symbol, {"count": PER_PAGE})
        return min((_month(one) for one in found), default=None)

    def page(self, symbol: str, timeframe: str, *, start: datetime, end: datetime) -> Page:
        """The candles in the 200 places from `start` on."""
        seconds = TIMEFRAMES[timeframe]
        stop = min(end, start + timedelta(seconds=PER_PAGE * seconds))
        params: dict[str, str | int] = {
            "count": PER_PAGE,
            "to": f"{stop:%Y-%m-%dT%H:%M:%SZ}",
        }  # candles that open before it
        found, now = self._candles(self.timeframes[timeframe], symbol, params)
        return make_page(
            self.name,
            [_row(one) for one in found],
            between=(start, stop),
            seconds=seconds,
            now=now,
            go_on=stop if stop < min(end, now) else None,
        )

    def close(self) -> None:
        """Give connections back."""
        self._client.close()

    def _candles(self, unit: str, symbol: str, params: Mapping[str, str | int]) -> tuple[list[Any], datetime]:
        answer = self._get(f"/v1/candles/{unit}", {"market": symbol, **params})
        if answer.status == 404:
            raise UnknownMarket(self.name, symbol, get_close_matches(symbol, self.symbols(), n=3))
        if answer.status != 200:
            raise ExchangeRefused(self.name, f"it answered {answer.status}: {_said(answer.body)}")
        return _list(answer.body), answer.at

    def _get(self, path: str, params: Mapping[str, str | int]) -> Answer:
        answer = self._client.get(path, params)
        if "sec=0" in answer.headers.get("Remaining-Req", "").replace(" ", "").split(";"):
            self._client.hold(1.0)
        return answer


def _row(candle: object) -> Row:
    return [millis_of(_time(candle)), *(_field(candle, name) for name in _FIELDS)]


def _time(candle: object) -> datetime:
    return _instant(str(_field(candle, "candle_date_time_utc")))


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadAnswer("upbit", f"a candle has the time {text[:40]!r}") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def _month(candle: object) -> datetime:
    """When the month began: Upbit has dated candles of longer periods by a later day of theirs."""
    first_day = str(_field(candle, "first_day_of_period"))
    return min(_time(candle), _instant(first_day))


def _field(candle: object, name: str) -> object:
    if not isinstance(candle, dict) or name not in candle:
        raise BadAnswer("upbit", f"a candle or market has no {name}")
    return candle[name]


def _list(body: object) -> list[Any]:
    if not isinstance(body, list):
        raise BadAnswer("upbit", "its answer is not a list")
    return body


def _said(body: object) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    return str(error.get("message", "") if isinstance(error, dict) else "")[:200] or "no reason"
