"""From a file that somebody sent to bars: checked row by row, and a report before anything is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from storage_core.bar_merge import MergePlan
from storage_core.bar_names import COLUMNS
from storage_core.bar_quality import Quality, quality_of
from storage_core.bar_store import SYMBOL, TIMEFRAMES, BarStore
from storage_core.bar_table import BarTable
from storage_core.bar_upload_errors import BadUpload
from storage_core.bar_upload_sniff import Sniffed

MOST_BAD = 20
EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read a file: whose bars they are, and which column is which. `leave_out`: rows that cannot be bars."""

    symbol: str
    timeframe: str
    mapping: Mapping[str, str]
    zone: str = "UTC"
    decimal: str = "."
    leave_out: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """What a file holds. `bad` are the first rows that cannot be bars, by number (1 = the first) with the reason."""

    bars: BarTable
    rows: int
    bad_count: int
    bad: tuple[tuple[int, str], ...]
    repeated: int
    sorted_: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What saving would do. `problems` stop it; each says what to do."""

    checked: Checked
    quality: Quality
    plan: MergePlan
    first: datetime
    last: datetime
    problems: tuple[str, ...] = field(default=())


def report(store: BarStore, path: Path, sniffed: Sniffed, reading: Reading) -> Report:
    """Read the file and compare it with what is stored; nothing is stored. Raises BadUpload naming the field."""
    found = check(path, sniffed, reading)
    bars, seconds = found.bars, TIMEFRAMES[reading.timeframe]
    problems = []
    if found.bad_count and not reading.leave_out:
        problems.append(f"{found.bad_count:,} rows cannot be bars: correct the file, or leave them out")
    closest = int(np.diff(bars.timestamp).min(initial=2**62))
    if closest < seconds * 1_000_000:
        apart = _spelled(closest // 1_000_000)
        problems.append(
            f"some bars are only {apart} apart, too close for {reading.timeframe}: choose another timeframe"
        )
    first, last = (_EPOCH + timedelta(microseconds=int(bars.timestamp[end])) for end in (0, -1))
    plan = store.plan(reading.symbol, reading.timeframe, bars)
    return Report(found, quality_of(bars, seconds), plan, first, last, tuple(problems))


def check(path: Path, sniffed: Sniffed, reading: Reading) -> Checked:
    """The rows of the file that can be bars, in order of time, and why the others cannot. Raises BadUpload."""
    if not SYMBOL.fullmatch(reading.symbol):
        raise BadUpload("write the symbol as quote-base in upper case, e.g. KRW-BTC", field="symbol")
    if reading.timeframe not in TIMEFRAMES:
        raise BadUpload(f"choose one of {', '.join(TIMEFRAMES)}", field="timeframe")
    try:
        ZoneInfo(reading.zone)
    except (KeyError, ValueError, OSError):
        raise BadUpload(f"{reading.zone[:40]!r} is not a time zone such as UTC or Asia/Seoul", field="zone") from None
    from storage_core.bar_upload_read import read

    raw = read(path, sniffed, reading.mapping, zone=reading.zone, decimal=reading.decimal)
    reasons = _reasons(raw.timestamp, raw.values)
    sound = np.flatnonzero(reasons == 0)
    order = sound[np.argsort(raw.timestamp[sound], kind="stable")]
    stamps, values = raw.timestamp[order], raw.values[order]
    again = np.diff(stamps, prepend=np.iinfo(np.int64).min) == 0
    heads = np.flatnonzero(~again)[np.cumsum(~again) - 1]  # of rows with the same time the first one counts
    differs = again & (values != values[heads]).any(axis=1)
    reasons[order[differs]] = len(REASONS)
    keep = ~again
    if not keep.any():
        first = f" The first says: {REASONS[reasons[0] - 1]}." if len(reasons) and reasons[0] else ""
        raise BadUpload(f"no row of the file can be a bar; are the columns the right ones?{first}")
    columns = {"timestamp": stamps[keep], **{name: values[keep, i] for i, name in enumerate(COLUMNS[1:])}}
    bad = np.flatnonzero(reasons)
    return Checked(
        bars=BarTable(**columns),
        rows=len(raw.timestamp) + raw.short_lines,
        bad_count=len(bad) + raw.short_lines,
        bad=tuple((int(row) + 1, REASONS[reasons[row] - 1]) for row in bad[:MOST_BAD]),
        repeated=int((again & ~differs).sum()),
        sorted_=bool(np.all(np.diff(raw.timestamp[sound]) >= 0)),
    )


REASONS = (
    "the time cannot be read",
    "the time lies before 1900 or in the future",
    "a price is not a number above 0",
    "the volume is not a number of at least 0",
    "the low is above the open or the close",
    "the high is below the open or the close",
    "another row has the same time and other values",
)


def _reasons(stamps: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Of each row why it cannot be a bar: a number into REASONS from 1 on, 0 when it can."""
    now, earliest = ((at - _EPOCH) // timedelta(microseconds=1) for at in (datetime.now(UTC), EARLIEST))
    prices, volume = values[:, :4], values[:, 4]
    opened, high, low, close = prices.T
    with np.errstate(invalid="ignore"):
        wrong = (
            stamps == np.iinfo(np.int64).min,
            (stamps < earliest) | (stamps > now),
            ~(np.isfinite(prices) & (prices > 0)).all(axis=1),
            ~(np.isfinite(volume) & (volume >= 0)),
            low > np.minimum(opened, close),
            high < np.maximum(opened, close),
        )
    found = np.zeros(len(stamps), np.int64)
    for number, rows in reversed(list(enumerate(wrong, 1))):
        found[rows] = number
    return found


def _spelled(seconds: int) -> str:
    for size, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= size:
            return f"{seconds / size:g} {name}"
    return f"{seconds} seconds"
