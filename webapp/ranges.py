"""Calendar days of a time zone as instants, and whether bars lie between them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from storage_core.bar_store import Coverage


def instants(start: date, end: date, zone: str) -> tuple[datetime, datetime]:
    """The first instant of `start` and the first one after `end`, both days in `zone`."""
    place = ZoneInfo(zone)
    after = end + timedelta(days=1) if end < date.max else end
    first, last = (datetime.combine(day, time(), place) for day in (max(start, date(1, 1, 2)), after))
    return first.astimezone(UTC), last.astimezone(UTC)


def overlaps(coverage: Coverage, start: datetime, end: datetime) -> bool:
    """Whether any stored bar can lie in the range."""
    return coverage.first < end and coverage.last >= start
