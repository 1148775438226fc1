"""The first value in which two tables differ, to the last bit."""

from typing import Any

import numpy as np
import pyarrow as pa


def first_differing_cell(before: pa.Table, now: pa.Table) -> tuple[int, str] | None:
    """Row and column of the first value that differs in any bit; a missing row differs in its first column."""
    common = min(before.num_rows, now.num_rows)
    names = before.schema.names
    rows = {name: _first(before[name].slice(0, common), now[name].slice(0, common)) for name in names}
    found = [(row, names.index(name)) for name, row in rows.items() if row is not None]
    if found:
        row, column = min(found)
        return row, names[column]
    return None if before.num_rows == now.num_rows else (common, names[0])


def _first(before: pa.ChunkedArray, now: pa.ChunkedArray) -> int | None:
    if before.equals(now) and not pa.types.is_floating(before.type):
        return None
    missing = [column.is_null().to_numpy() for column in (before, now)]
    differs = missing[0] != missing[1]
    if pa.types.is_floating(before.type):  # NaN is itself, and -0.0 is not 0.0
        bits = [column.fill_null(0.0).to_numpy().view(np.int64) for column in (before, now)]
        differs = differs | (bits[0] != bits[1])
    else:
        values = [column.to_numpy(zero_copy_only=False) for column in (before, now)]
        differs = differs | ((values[0] != values[1]) & ~missing[0])
    rows = np.flatnonzero(differs)
    return int(rows[0]) if len(rows) else None


def described(before: pa.Table, now: pa.Table, row: int, column: str) -> dict[str, Any]:
    """Where that is, as people find it, and the two values."""
    rows: list[dict[str, Any]] = [next(iter(table.slice(row, 1).to_pylist()), {}) for table in (before, now)]
    was, is_ = rows
    known = was or is_
    return {
        "symbol": known["symbol"],
        "index": known.get("idx", known.get("signal_index")),
        "at": _plain(known.get("timestamp")),
        "column": column,
        "was": _plain(was.get(column)),
        "now": _plain(is_.get(column)),
    }


def _plain(value: Any) -> Any:
    """JSON's own values as they are; floats, as NaN is none of JSON's, and anything else as text."""
    return value if value is None or isinstance(value, int | str) else str(value)
