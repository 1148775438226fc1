"""Parquet as we write it everywhere.

The recipe was measured: zstd level 3, floats PLAIN without dictionary (a dictionary on floats is the largest single
loss), integers and timestamps DELTA_BINARY_PACKED, strings in a dictionary, page checksums on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

COMPRESSION = "zstd"
LEVELS = {"zstd": 3}
ROWS_PER_GROUP = 1_000_000


def write_table(
    table: pa.Table,
    path: Path,
    *,
    rows_per_group: int = ROWS_PER_GROUP,
    notes: Mapping[str, str] | None = None,
    compression: str = COMPRESSION,
    statistics: bool = True,
) -> None:
    """Write `table` to `path` by the recipe; not flushed to the disk, not atomic: see `files`.

    Without `statistics` (least and greatest value by row group) a small file is smaller, and no reader can skip parts.
    `notes` go in the footer, where `table.schema.metadata` of what is read has them again.
    """
    strings = [
        field.name for field in table.schema if pa.types.is_string(field.type) or pa.types.is_dictionary(field.type)
    ]
    encodings = {field.name: _encoding(field.type) for field in table.schema if field.name not in strings}
    with pq.ParquetWriter(
        path,
        table.schema,
        compression=compression,
        compression_level=LEVELS.get(compression),
        use_dictionary=strings,
        column_encoding=encodings,
        write_page_checksum=True,
        write_statistics=statistics,
        store_schema=False,
    ) as writer:
        writer.write_table(table, row_group_size=rows_per_group)
        if notes:
            writer.add_key_value_metadata(dict(notes))


def _encoding(kind: pa.DataType) -> str:
    packed = pa.types.is_integer(kind) or pa.types.is_timestamp(kind)
    return "DELTA_BINARY_PACKED" if packed else "PLAIN"
