"""Parquet that somebody sent: its footer is looked at before anything is unpacked, and only flat columns are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from storage_core.bar_upload_errors import BadUpload
from storage_core.bar_upload_limits import LONGEST_CELL, MOST_COLUMNS, MOST_ROWS, SHOWN_ROWS

LARGEST_UNPACKED = 2_000_000_000
ROWS_AT_ONCE = 131_072


def look(path: Path) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """The names of the columns and the first rows as text. Raises BadUpload."""
    try:
        with pq.ParquetFile(path) as file:
            columns = _checked(file)
            batch = next(file.iter_batches(SHOWN_ROWS, columns=list(columns)), None)
            rows = [] if batch is None else batch.to_pylist()
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise BadUpload(f"the Parquet file cannot be read: {str(error).splitlines()[0][:200]}") from error
    return columns, tuple(tuple(str(row[name])[:LONGEST_CELL] for name in columns) for row in rows)


def batches(path: Path, columns: Sequence[str]) -> Iterator[list[Any]]:
    """The wanted columns (Arrow arrays, in that order), a piece at a time. Raises BadUpload."""
    try:
        with pq.ParquetFile(path) as file:
            _checked(file)
            for batch in file.iter_batches(ROWS_AT_ONCE, columns=list(dict.fromkeys(columns))):
                yield [batch.column(name) for name in columns]
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise BadUpload(f"the Parquet file cannot be read: {str(error).splitlines()[0][:200]}") from error


def _checked(file: pq.ParquetFile) -> tuple[str, ...]:
    """The flat columns. What the footer promises is believed only where it makes a file too large."""
    facts = file.metadata
    if facts.num_rows > MOST_ROWS:
        raise BadUpload(f"the file has {facts.num_rows:,} rows; at most {MOST_ROWS:,} are read")
    if facts.num_columns > MOST_COLUMNS:
        raise BadUpload(f"the file has {facts.num_columns:,} columns; at most {MOST_COLUMNS} are read")
    if not facts.num_rows:
        raise BadUpload("the file has no rows")
    unpacked = sum(facts.row_group(group).total_byte_size for group in range(facts.num_row_groups))
    if unpacked > LARGEST_UNPACKED:
        raise BadUpload(f"unpacked, the file would have {unpacked / 1e9:,.1f} GB; at most 2 GB are read")
    flat = tuple(field.name for field in file.schema_arrow if not pa.types.is_nested(field.type))
    if len(set(flat)) != len(flat):
        raise BadUpload("two columns of the file have the same name")
    return flat
