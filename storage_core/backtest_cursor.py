"""Page cursors of the list: a row's place in an order, as text that fits in a link."""

from __future__ import annotations

import base64
import binascii
import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from storage_core.errors import BadCursor

LONGEST_CURSOR = 400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Place:
    """A row's place: in which stretch of the order, its value there (an instant or a number), and its id."""

    stretch: int
    value: datetime | float
    task_id: UUID


def write_cursor(place: Place, sort: str) -> str:
    """The place in the order `sort`, as text."""
    value = (place.value - _EPOCH) // _MICROSECOND if isinstance(place.value, datetime) else place.value
    kind = "t" if isinstance(place.value, datetime) else "n"
    parts = json.dumps([sort, place.stretch, kind, value, place.task_id.hex], separators=(",", ":"))
    return base64.urlsafe_b64encode(parts.encode()).decode().rstrip("=")


def read_cursor(cursor: str, sort: str, stretches: int) -> Place:
    """The place that `write_cursor` wrote; raises BadCursor for anything else, also for one of another order."""
    if len(cursor) > LONGEST_CURSOR:
        raise BadCursor(cursor)
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        written_for, stretch, kind, value, task_id = json.loads(text)
        if written_for != sort or stretch not in range(stretches) or type(value) not in (int, float):
            raise BadCursor(cursor)
        if (kind == "t") != (stretches == 1 or stretch == 1) or not math.isfinite(value):
            raise BadCursor(cursor)
        place = _EPOCH + value * _MICROSECOND if kind == "t" else value
        return Place(stretch, place, UUID(task_id))
    except (ValueError, TypeError, OverflowError, AttributeError, binascii.Error) as error:
        raise BadCursor(cursor) from error
