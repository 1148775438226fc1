"""Columns of a file as numbers: times in many spellings, numbers with commas, and NaN for what is neither."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from storage_core.bar_names import COLUMNS
from storage_core.bar_upload_errors import BadUpload
from storage_core.bar_upload_limits import MOST_ROWS
from storage_core.bar_upload_parquet import batches
from storage_core.bar_upload_sniff import Sniffed

UNREADABLE = np.iinfo(np.int64).min
"""Stands for a time that could not be read."""
BLOCK = 4_000_000
_MICROS = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 0.001}
_DAY = re.compile(r"(\d{4})[/.](\d{1,2})[/.](\d{1,2})")


@dataclass(frozen=True, slots=True)
class RawBars:
    """What the file says, unchecked: `timestamp` (n) in microseconds UTC or UNREADABLE, `values` (n, 5) or NaN.

    `short_lines` are lines of a CSV that have another number of cells than the first.
    """

    timestamp: NDArray[np.int64]
    values: NDArray[np.float64]
    short_lines: int = 0


def read(path: Path, sniffed: Sniffed, mapping: Mapping[str, str], *, zone: str, decimal: str) -> RawBars:
    """The mapped columns of the file; times without a zone are of `zone`. Raises BadUpload."""
    if missing := [name for name in COLUMNS if mapping.get(name) not in sniffed.columns]:
        raise BadUpload(f"choose the column of: {', '.join(missing)}", field=missing[0])
    wanted = [mapping[name] for name in COLUMNS]
    if len(set(wanted)) != len(wanted):
        raise BadUpload("the same column was chosen twice", field="timestamp")
    lines = _Lines()
    pieces = batches(path, wanted) if sniffed.kind == "parquet" else _csv(path, sniffed, wanted, lines)
    stamps, values, count = [], [], 0
    for piece in pieces:
        count += len(piece[0])
        if count > MOST_ROWS:
            raise BadUpload(f"the file has more than {MOST_ROWS:,} rows; send it in parts")
        stamps.append(times(piece[0], zone))
        values.append(np.stack([numbers(column, decimal) for column in piece[1:]], axis=1))
    if not count:
        raise BadUpload("the file has no rows")
    return RawBars(np.concatenate(stamps), np.concatenate(values), lines.skipped)


class _Lines:
    skipped = 0

    def skip(self, _row: Any) -> str:
        self.skipped += 1
        return "skip"


def _csv(path: Path, sniffed: Sniffed, wanted: Sequence[str], lines: _Lines) -> Iterator[list[Any]]:
    places = [sniffed.columns.index(name) for name in wanted]
    names = [f"c{n}" for n in range(len(sniffed.columns))]
    options = {
        "read_options": pacsv.ReadOptions(block_size=BLOCK, column_names=names, skip_rows=int(sniffed.header)),
        "parse_options": pacsv.ParseOptions(delimiter=sniffed.delimiter, invalid_row_handler=lines.skip),
        "convert_options": pacsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=[names[place] for place in places],
            strings_can_be_null=False,
        ),
    }
    try:
        with pacsv.open_csv(path, **options) as reader:
            for batch in reader:
                yield [batch.column(names[place]) for place in places]
    except (pa.ArrowException, OSError) as error:
        said = str(error).splitlines()[0][:200]
        if "UTF8" in said:
            raise BadUpload("the file is not UTF-8 text: save it as UTF-8") from error
        raise BadUpload(f"the CSV cannot be read: {said}") from error


def numbers(column: Any, decimal: str = ".") -> NDArray[np.float64]:
    """Any column as floats; NaN for what is no number."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return numbers(column.dictionary_decode(), decimal)
    if pa.types.is_boolean(kind) or pa.types.is_temporal(kind) or pa.types.is_binary(kind):
        return np.full(len(column), np.nan)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        text = pc.utf8_trim_whitespace(column)
        if decimal == ",":
            text = pc.replace_substring(pc.replace_substring(text, ".", ""), ",", ".")
        try:
            return _filled(pc.cast(text, pa.float64()))
        except pa.ArrowInvalid:
            return np.array([_float(one) for one in text.to_pylist()], float)
    try:
        return _filled(pc.cast(column, pa.float64(), safe=False))
    except pa.ArrowException as error:
        raise BadUpload(f"a column of {kind} cannot be read as numbers") from error


def times(column: Any, zone: str) -> NDArray[np.int64]:
    """Any column as microseconds UTC: times, dates, ISO text, or seconds, ms, us or ns since 1970."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return times(column.dictionary_decode(), zone)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _of_zone(pc.cast(column, pa.timestamp("us", tz=getattr(kind, "tz", None)), safe=False), zone)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _since_1970(numbers(column))
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise BadUpload(f"a column of {kind} cannot be read as times", field="timestamp")
    return _times_of_text(pc.utf8_trim_whitespace(column), zone)


def _times_of_text(text: Any, zone: str) -> NDArray[np.int64]:
    try:
        return _since_1970(_filled(pc.cast(text, pa.float64())))
    except pa.ArrowInvalid:  # some are words of a calendar, or all
        values = np.array([_float(one) for one in text.to_pylist()], float)
        if 2 * int(np.isfinite(values).sum()) > len(values):
            return _since_1970(values)
    for tz in (None, "UTC"):
        try:
            return _of_zone(pc.cast(text, pa.timestamp("us", tz=tz)), zone)
        except pa.ArrowInvalid:
            continue
    place = ZoneInfo(zone)
    return np.array([_micros(one, place) for one in text.to_pylist()], np.int64)


def _since_1970(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """The unit follows from the size: 1.7e9 are seconds, 1.7e12 milliseconds; 20240131 is a day."""
    known = values[np.isfinite(values)]
    typical = float(np.median(np.abs(known))) if len(known) else 0.0
    if 19_000_101 <= typical <= 21_001_231 and np.all(known == np.floor(known)):
        return _compact_days(values)
    unit = "s" if typical < 1e11 else "ms" if typical < 1e14 else "us" if typical < 1e17 else "ns"
    micros = np.where(np.isfinite(values), values, 0.0) * _MICROS[unit]
    fits = np.isfinite(values) & (np.abs(micros) < 2**62)
    return np.where(fits, np.rint(np.where(fits, micros, 0.0)).astype(np.int64), UNREADABLE)


def _compact_days(values: NDArray[np.float64]) -> NDArray[np.int64]:
    place = ZoneInfo("UTC")
    texts = (f"{value:08.0f}" if np.isfinite(value) else "" for value in values)
    return np.array([_micros(f"{one[:4]}-{one[4:6]}-{one[6:]}", place) for one in texts], np.int64)


def _of_zone(stamps: Any, zone: str) -> NDArray[np.int64]:
    if stamps.type.tz is None and zone != "UTC":
        stamps = pc.assume_timezone(stamps, zone, ambiguous="earliest", nonexistent="latest")
    found: NDArray[np.int64] = pc.fill_null(pc.cast(stamps, pa.int64()), UNREADABLE).to_numpy(zero_copy_only=False)
    return found


def _micros(text: str | None, place: ZoneInfo) -> int:
    try:
        at = datetime.fromisoformat(_DAY.sub(lambda day: f"{day[1]}-{day[2]:0>2}-{day[3]:0>2}", text or ""))
    except ValueError:
        return UNREADABLE
    at = at if at.tzinfo else at.replace(tzinfo=place)
    return (at - datetime(1970, 1, 1, tzinfo=ZoneInfo("UTC"))) // (datetime.resolution)


def _float(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")


def _filled(column: Any) -> NDArray[np.float64]:
    found: NDArray[np.float64] = pc.fill_null(column, float("nan")).to_numpy(zero_copy_only=False)
    return found
