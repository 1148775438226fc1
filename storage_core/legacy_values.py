"""One kind of value each: from its legacy spelling to what is stored, and back.

`store` checks all values of one key and gives what the column holds, with the style they were spelled in; `restore`
gives the legacy spelling again, as far as the style tells. Whoever uses them compares and keeps what differs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from storage_core.legacy_errors import BadLegacyFile
from storage_core.legacy_read import huge_integer, not_finite, wrong_type

INT32 = 2**31
TIMEFRAMES = ("1m", "5m", "15m", "1h", "4h", "1d")
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - everything here is UTC
_INSTANT = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(Z|\+00:00Z|[+-]\d\d:\d\d)?)?", re.ASCII
)
_PART = r"([A-Za-z0-9]{1,15})"
_QUOTE_BASE = re.compile(rf"{_PART}-{_PART}")
_BASE_QUOTE = re.compile(rf"{_PART}[_/]{_PART}")
_WHOLE = "whole numbers"
_DATE = "date"
_DAY, _SECOND = len("2024-09-06"), len("2024-09-06T12:00:00")

At = Callable[[int], str]
Stored = tuple[list[Any], str]


@dataclass(frozen=True, slots=True)
class Kind:
    """How the values of one key are checked, stored and spelled again."""

    store: Callable[[Sequence[Any], At], Stored]
    restore: Callable[[Sequence[Any], str], list[Any]]


def instant(text: object, field: str) -> int:
    """Microseconds since 1970 of a time in any of the legacy spellings; without a zone it is UTC."""
    found = _INSTANT.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise wrong_type(field, text, "a time such as 2024-09-06T12:00:00+00:00 or a date such as 2024-09-06")
    day, clock, fraction, zone = found.groups()
    try:
        since = datetime.fromisoformat(f"{day}T{clock or '00:00:00'}") - _EPOCH
    except ValueError as error:
        raise BadLegacyFile("impossible-date", field, f"is {text}, a time that does not exist") from error
    seconds = since.days * 86400 + since.seconds - _offset(zone or "", field, found[0])
    return seconds * 1_000_000 + int((fraction or "").ljust(6, "0"))


def moment(text: object, field: str) -> datetime:
    """The same as an aware datetime."""
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=instant(text, field))


def day(text: object, field: str) -> date:
    """The date of a legacy date or time."""
    return (_EPOCH + timedelta(microseconds=instant(text, field))).date()


def symbol(text: object, field: str) -> str:
    """`KRW-BTC` is quote-base; `BTC_KRW` and `BTC/KRW` are base-quote and become KRW-BTC."""
    if isinstance(text, str):
        if found := _QUOTE_BASE.fullmatch(text):
            return f"{found[1]}-{found[2]}".upper()
        if found := _BASE_QUOTE.fullmatch(text):
            return f"{found[2]}-{found[1]}".upper()
        raise BadLegacyFile(
            "bad-symbol", field, f"is {text[:60]!r}; allowed are symbols such as KRW-BTC, BTC_KRW or BTC/USDT"
        )
    raise wrong_type(field, text, "a symbol such as KRW-BTC")


def timeframe(text: object, field: str) -> str:
    """`1M`, `1H`, `1D` are one minute, hour and day, in upper or lower case."""
    if not isinstance(text, str):
        raise wrong_type(field, text, "a timeframe such as 1H")
    if text.lower() not in TIMEFRAMES:
        allowed = ", ".join(name.upper() for name in TIMEFRAMES)
        raise BadLegacyFile("bad-timeframe", field, f"is {text[:20]!r}; allowed: {allowed}")
    return text.lower()


def number(value: object, field: str) -> float | None:
    """A number that a float column holds exactly, or null."""
    if value is None or type(value) is float:
        if value is not None and not math.isfinite(value):
            raise not_finite(field, value)
        return value
    if type(value) is not int:
        raise wrong_type(field, value, "a number")
    if abs(value) > 2**1023 or int(float(value)) != value:
        raise huge_integer(field)
    return float(value)


def _store_floats(values: Sequence[Any], at: At) -> Stored:
    if set(map(type, values)) <= {float} and all(map(math.isfinite, values)):
        return list(values), ""
    stored = [number(value, at(index)) for index, value in enumerate(values)]
    kinds = {type(value) for value in values if value is not None}
    return stored, _WHOLE if kinds == {int} else ""


def _restore_floats(stored: Sequence[Any], style: str) -> list[Any]:
    return [None if value is None else int(value) for value in stored] if style == _WHOLE else list(stored)


def _store_percents(values: Sequence[Any], at: At) -> Stored:
    fractions, _ = _store_floats(values, at)
    stored = [None if value is None else value * 100.0 for value in fractions]
    for index, value in enumerate(stored):
        if value is not None and not math.isfinite(value):
            raise not_finite(at(index), value)
    return stored, ""


def _restore_percents(stored: Sequence[Any], style: str) -> list[Any]:
    return [None if value is None else value / 100.0 for value in stored]


def _store_integers(values: Sequence[Any], at: At) -> Stored:
    stored: list[int | None] = []
    for index, value in enumerate(values):
        exact = number(value, at(index))
        if exact is not None and not exact.is_integer():
            raise wrong_type(at(index), value, "a whole number")
        if exact is not None and not -INT32 <= exact < INT32:
            raise huge_integer(at(index))
        stored.append(None if exact is None else int(exact))
    return stored, ""


def _store_times(values: Sequence[Any], at: At) -> Stored:
    if (alike := _times_alike(values)) is not None:
        return alike
    stored = [None if value is None else instant(value, at(index)) for index, value in enumerate(values)]
    first = next((value for value in values if value is not None), "")
    return stored, _DATE if len(first) == _DAY else first[_SECOND:].lstrip(".0123456789")


def _restore_times(stored: Sequence[Any], style: str) -> list[Any]:
    if None not in stored and (texts := _spelled_alike(stored, style)) is not None:
        return texts
    times = [None if value is None else _EPOCH + timedelta(microseconds=value) for value in stored]
    if style == _DATE:
        return [None if time is None else time.date().isoformat() for time in times]
    return [None if time is None else f"{time.isoformat()}{style}" for time in times]


def _times_alike(values: Sequence[Any]) -> Stored | None:
    """Many times of one spelling at once; None unless all are, and come back as they were."""
    first = values[0] if values else None
    style = (_DATE if len(first) == _DAY else first[_SECOND:]) if isinstance(first, str) else "?"
    if style not in (_DATE, "Z", "+00:00", "+00:00Z") or not all(isinstance(value, str) for value in values):
        return None
    try:
        times = np.array([value[:_SECOND] for value in values], dtype="datetime64[us]")
    except ValueError:
        return None
    stored: list[Any] = times.astype(np.int64).tolist()
    return (stored, style) if _spelled_alike(stored, style) == list(values) else None


def _spelled_alike(stored: Sequence[int], style: str) -> list[str] | None:
    """Many times in one style; None when they are not whole seconds, or whole days for a date."""
    times = np.array(stored, dtype=np.int64)
    if (times % (86_400_000_000 if style == _DATE else 1_000_000)).any():
        return None
    texts = np.datetime_as_string(times.astype("datetime64[us]"), unit="D" if style == _DATE else "s").tolist()
    return texts if style == _DATE else [text + style for text in texts]


def _same(stored: Sequence[Any], style: str) -> list[Any]:
    return list(stored)


def _offset(zone: str, field: str, text: str) -> int:
    if zone in ("", "Z", "+00:00", "+00:00Z"):
        return 0
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 23 or minutes > 59:
        raise BadLegacyFile("impossible-date", field, f"is {text}, a time that does not exist")
    return (hours * 3600 + minutes * 60) * (-1 if zone[0] == "-" else 1)


def texts(*allowed: str) -> Kind:
    """A kind of text; only `allowed` ones when there are any."""

    def store(values: Sequence[Any], at: At) -> Stored:
        for index, value in enumerate(values):
            if value is not None and not isinstance(value, str):
                raise wrong_type(at(index), value, "a text")
            if allowed and value is not None and value not in allowed:
                raise BadLegacyFile("wrong-value", at(index), f"is {value[:40]!r}; allowed: {', '.join(allowed)}")
        return list(values), ""

    return Kind(store, _same)


def symbol_of(parent: str, spelled: str) -> Kind:
    """The symbol that a row repeats: it must be its parent's, which is stored `parent` and was `spelled` so."""

    def store(values: Sequence[Any], at: At) -> Stored:
        for index, value in enumerate(values):
            if value not in (None, spelled) and symbol(value, at(index)) != parent:
                raise BadLegacyFile("contradiction", at(index), f"is {value}, but it stands below {spelled}")
        return [parent] * len(values), ""

    return Kind(store, lambda stored, style: [spelled] * len(stored))


FLOAT = Kind(_store_floats, _restore_floats)
PERCENT = Kind(_store_percents, _restore_percents)
INTEGER = Kind(_store_integers, _same)
TIME = Kind(_store_times, _restore_times)
SYMBOL = Kind(
    lambda values, at: ([symbol(value, at(index)) for index, value in enumerate(values)], ""),
    _same,
)
