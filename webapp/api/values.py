"""Values in addresses are text: these say exactly which text is which value, and nothing is guessed."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

_WHOLE = re.compile(r"-?[0-9]{1,15}")
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:.]+([Zz]|[+-][0-9:]+)")
FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
PLAIN_TEXT = r"^[^\u0000-\u001f\u007f]*$"


def _whole(value: Any) -> Any:
    return _matching(_WHOLE, value, "a whole number")


def _number(value: Any) -> Any:
    return _matching(_NUMBER, value, "a number")


def _day(value: Any) -> Any:
    return _matching(_DAY, value, "a date such as 2024-12-31")


def _boolean(value: Any) -> Any:
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError("must be true or false")
    return value


def _instant(value: Any) -> Any:
    """An aware instant; one that UTC has no year for becomes the first or last that it has."""
    _matching(_INSTANT, value, "an instant with its time zone, such as 2024-12-31T00:00:00Z")
    if not isinstance(value, str):
        return value
    found = datetime.fromisoformat(value.upper())
    try:
        return found.astimezone(UTC)
    except OverflowError:
        return LAST if found.year > 1 else FIRST


def _matching(pattern: re.Pattern[str], value: Any, what: str) -> Any:
    if isinstance(value, str) and not pattern.fullmatch(value):
        raise ValueError(f"must be {what}")
    return value


Whole = Annotated[int, BeforeValidator(_whole)]
Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Boolean = Annotated[bool, BeforeValidator(_boolean)]
Day = Annotated[date, BeforeValidator(_day)]
Instant = Annotated[datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})]
Text = Annotated[str, Field(max_length=200, pattern=PLAIN_TEXT)]
Symbol = Annotated[str, Field(pattern=r"^[A-Z0-9]{1,15}-[A-Z0-9]{1,15}$", json_schema_extra={"example": "KRW-BTC"})]
