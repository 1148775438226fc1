"""Page cursors of the list: a row's place in an order, as text that fits in a link."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from storage_core.errors import BadCursor

LONGEST_CURSOR = 1000
INSTANT, NUMBER, COUNT, TEXT, DATE = "t", "n", "i", "s", "d"
"""Kinds of what an order goes by."""
_LONGEST_TEXT = 100
_LARGEST = 2**31 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Place:
    """A row's place: in which stretch of the order, its value there and of which kind that is, and its id.

    `created_at` where the order goes on by it among equal values, else None.
    """

    stretch: int
    kind: str
    value: datetime | date | float | str
    task_id: UUID
    created_at: datetime | None = None


def write_cursor(place: Place, sort: str) -> str:
    """The place in the order `sort`, as text."""
    parts = [sort, place.stretch, place.kind, _plain(place.value), place.task_id.hex]
    parts += [] if place.created_at is None else [_plain(place.created_at)]
    text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str, sort: str, kinds: Sequence[tuple[str, bool]]) -> Place:
    """The place that `write_cursor` wrote; raises BadCursor for anything else, also for one of another order.

    `kinds` of the stretches of that order, each with whether it goes on by submit date.
    """
    if len(cursor) > LONGEST_CURSOR:
        raise BadCursor(cursor)
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        written_for, stretch, kind, value, task_id, *at = json.loads(text)
        if written_for != sort or type(stretch) is not int or stretch not in range(len(kinds)):
            raise BadCursor(cursor)
        if (kind, bool(at)) != kinds[stretch] or len(at) > 1:
            raise BadCursor(cursor)
        return Place(stretch, kind, _value(kind, value), UUID(task_id), _value(INSTANT, at[0]) if at else None)
    except (ValueError, TypeError, OverflowError, AttributeError) as error:
        raise BadCursor(cursor) from error


def _plain(value: datetime | date | float | str) -> float | str:
    if isinstance(value, datetime):
        return (value - _EPOCH) // _MICROSECOND
    return value.isoformat() if isinstance(value, date) else value


def _value(kind: str, written: Any) -> Any:
    """What `_plain` was given. Raises ValueError, TypeError, OverflowError."""
    if kind in (TEXT, DATE):
        if type(written) is not str or len(written) > _LONGEST_TEXT or "\x00" in written:
            raise ValueError
        written.encode()  # raises for half a character, which no database takes
        return date.fromisoformat(written) if kind == DATE else written
    if type(written) not in (int, float) or not math.isfinite(written):
        raise ValueError
    if kind == COUNT and (type(written) is not int or abs(written) > _LARGEST):
        raise ValueError
    if kind == NUMBER:
        return float(written)
    return _EPOCH + written * _MICROSECOND if kind == INSTANT else written
