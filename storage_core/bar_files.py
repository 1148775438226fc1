"""One file of bars: writing it by the recipe, reading a range of it, and its extent, with errors that name it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage_core import parquet
from storage_core.bar_names import COLUMNS
from storage_core.bar_table import BarTable
from storage_core.errors import BarsDamaged
from storage_core.files import replacing

ROWS_PER_GROUP = 131_072  # a range of a long file reads only the groups it touches
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = pa.timestamp("us", tz="UTC")


def write_bars(path: Path, bars: BarTable) -> None:
    """Replace `path` by these bars, whole or not at all. Raises DiskProblem."""
    stamps = pa.array(bars.timestamp, _TIME)
    table = pa.table({**bars.columns(), "timestamp": stamps})
    with replacing(path) as temporary:
        parquet.write_table(table, temporary, rows_per_group=ROWS_PER_GROUP)


def read_bars(path: Path, low: int, high: int) -> BarTable:
    """The bars of `path` with low <= timestamp < high (microseconds). Raises BarsDamaged and FileNotFoundError."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read_row_groups(_groups(file, low, high), columns=list(COLUMNS))
        return _from_arrow(path, table).between(low, high)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, KeyError) as error:
        raise BarsDamaged(path, str(error).splitlines()[0]) from error


def extent(path: Path) -> dict[str, int]:
    """Rows, and the first and last timestamp (microseconds), from the footer of `path`.

    Raises BarsDamaged and FileNotFoundError.
    """
    try:
        with pq.ParquetFile(path) as file:
            ranges = [_range(file, group) for group in range(file.num_row_groups)]
            rows = file.metadata.num_rows
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, KeyError) as error:
        raise BarsDamaged(path, str(error).splitlines()[0]) from error
    known = [one for one in ranges if one is not None]
    if not known or len(known) != len(ranges):
        raise BarsDamaged(path, "it has no rows, or does not say which times it covers")
    return {"rows": rows, "first": known[0][0], "last": known[-1][1]}


def _groups(file: pq.ParquetFile, low: int, high: int) -> list[int]:
    ranges = ((group, _range(file, group)) for group in range(file.num_row_groups))
    return [group for group, span in ranges if span is None or (span[0] < high and span[1] >= low)]


def _range(file: pq.ParquetFile, group: int) -> tuple[int, int] | None:
    """First and last timestamp of a row group by its footer; None when it does not say so in times with a zone."""
    index = file.schema_arrow.get_field_index("timestamp")
    if index < 0:
        return None
    statistics = file.metadata.row_group(group).column(index).statistics
    if statistics is None or not statistics.has_min_max:
        return None
    ends = (statistics.min, statistics.max)
    if not all(isinstance(end, datetime) and end.tzinfo is not None for end in ends):
        return None
    first, last = ((end - _EPOCH) // timedelta(microseconds=1) for end in ends)
    return first, last


def _from_arrow(path: Path, table: pa.Table) -> BarTable:
    if missing := [name for name in COLUMNS if name not in table.column_names]:
        raise BarsDamaged(path, f"columns are missing: {', '.join(missing)}")
    kind = table.schema.field("timestamp").type
    if not pa.types.is_timestamp(kind) or kind.tz is None:
        raise BarsDamaged(path, f"timestamp is {kind}, not a time with a time zone")
    if holes := [name for name in COLUMNS if table[name].null_count]:
        raise BarsDamaged(path, f"values are missing in: {', '.join(holes)}")
    stamps = pc.cast(pc.cast(table["timestamp"], _TIME), pa.int64()).to_numpy()
    if np.any(np.diff(stamps) <= 0):
        raise BarsDamaged(path, "the times are not strictly increasing")
    floats = (pc.cast(table[name], pa.float64()).to_numpy() for name in COLUMNS[1:])
    return BarTable(np.ascontiguousarray(stamps), *(np.ascontiguousarray(column) for column in floats))
