"""Candles as exchanges send them, made into bars: every value checked, in order of time, closed ones only."""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from workers.exchanges import Page
from workers.exchanges.errors import BadAnswer

SETTLED_SECONDS = 5
"""A bar is taken this long after its close: late trades may still change it."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Row = Sequence[object]
"""Open time in milliseconds, open, high, low, close, volume."""


def make_page(
    exchange: str,
    rows: Iterable[Row],
    *,
    between: tuple[datetime, datetime],
    seconds: int,
    now: datetime,
    go_on: datetime | None,
) -> Page:
    """A page of the candles that open in `between` and were closed at `now`. Raises BadAnswer naming the first bad one.

    Candles may come in any order and twice; the same time with other values is refused.
    """
    start, end = between
    closed = now - timedelta(seconds=seconds + SETTLED_SECONDS)
    found: dict[int, tuple[float, ...]] = {}
    for row in rows:
        millis, values = _checked(exchange, row)
        if found.setdefault(millis, values) != values:
            raise BadAnswer(exchange, f"two different candles of {_EPOCH + timedelta(milliseconds=millis)}")
    times = sorted(ms for ms in found if millis_of(start) <= ms < millis_of(end) and ms <= millis_of(closed))
    stamps = np.array(times, np.int64) * 1000
    return Page(stamps, np.array([found[ms] for ms in times], float).reshape(-1, 5), go_on)


def millis_of(instant: datetime) -> int:
    """Milliseconds since 1970."""
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def instant_of(millis: int) -> datetime:
    """The instant of milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=millis)


def slot_after(millis: int, seconds: int) -> datetime:
    """When the bar after the one that opened at `millis` may open.

    Rounded down, as Binance has bars that opened late, after a halt, and the next one when it should.
    """
    return instant_of((millis // (1000 * seconds) + 1) * 1000 * seconds)


def number(exchange: str, value: object) -> float:
    """A finite number from a JSON number, or from its text (Binance sends text). Raises BadAnswer."""
    try:
        found = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise BadAnswer(exchange, f"a candle has {str(value)[:40]!r} where a number belongs")
    return found


def _checked(exchange: str, row: Row) -> tuple[int, tuple[float, ...]]:
    if not isinstance(row[0], int) or isinstance(row[0], bool) or not 0 < row[0] < 10**14:
        raise BadAnswer(exchange, f"a candle has the time {str(row[0])[:40]!r}")
    values = tuple(number(exchange, value) for value in row[1:6])
    opened, high, low, close, volume = values
    at = instant_of(row[0])
    if min(values[:4]) <= 0 or volume < 0:
        raise BadAnswer(exchange, f"the candle of {at:%Y-%m-%d %H:%M} has a price of 0 or less, or a negative volume")
    if low > min(opened, close) or high < max(opened, close):
        raise BadAnswer(exchange, f"the candle of {at:%Y-%m-%d %H:%M} has a high or low inside its open and close")
    return row[0], values
