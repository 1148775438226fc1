"""The chart library knows only UTC: times are shifted so that its axis reads as the person's clock."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def to_chart(seconds: Iterable[int], zone: str) -> list[int]:
    """UTC seconds as wall-clock seconds, strictly increasing also in the hour that a clock repeats in autumn."""
    place = ZoneInfo(zone)
    shifted: list[int] = []
    previous = -(2**62)
    for second in seconds:
        offset = datetime.fromtimestamp(second, UTC).astimezone(place).utcoffset() or timedelta()
        previous = max(second + int(offset.total_seconds()), previous + 1)
        shifted.append(previous)
    return shifted


def from_chart(seconds: float, zone: str) -> datetime:
    """The instant that wall-clock seconds stand for."""
    naive = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    return naive.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
