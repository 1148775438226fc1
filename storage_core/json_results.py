"""A result as legacy JSON, the fuller shape: `result.json` and the `manifest.json` that stands beside it.

Plain JSON for whoever reads it; for ourselves each row stands on a line of its own, so that a result of any size is
written and read in bounded memory. Numbers are spelled so that they come back in every bit. What JSON cannot spell
(NaN, infinities, years beyond 9999) is null there, and its bits stand under `exact` at the end of the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from storage_core.errors import BadTables
from storage_core.files import disk_problems, fsync_file, sha256_file
from storage_core.models import Backtest
from storage_core.modes import file_name
from storage_core.schemas import SCHEMA_VERSION

VERSION = "1.1.0"
ARRAYS = {"signals": "symbol_signals", "performance_curve": "performance_curve"}
SYMBOLS, SIGNALS, CURVE, LAST = b'"symbols":[\n', b',"signals":[\n', b'],"performance_curve":[\n', b"]}\n"
"""The lines, or their ends, that part the file."""
ROWS_AT_ONCE = 10_000
_EARLIEST, _LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999  # the years 1 to 9999, in microseconds

Exact = dict[str, dict[str, list[list[int]]]]
"""By table and column: [row, bits] of each value that JSON cannot spell."""


def write(folder: Path, row: Backtest, tables: Mapping[str, pa.Table], *, at: datetime) -> dict[str, dict[str, Any]]:
    """Write both files of the result of `row`, computed at that instant, flushed; rows, bytes and sha256 of each.

    Raises BadTables when the rows of a symbol do not lie together, and DiskProblem.
    """
    bounds = {array: _bounds(name, tables) for array, name in ARRAYS.items()}
    path = folder / file_name("result")
    count = tables["symbol_signals"].num_rows
    with disk_problems(path):
        with path.open("wb") as file:
            _write_document(file, row, tables, bounds, at)
        facts = _facts(path, count)
        manifest = folder / file_name("manifest")
        manifest.write_bytes(json.dumps(_legacy_manifest(row, path, facts, at), indent=2).encode())
        return {"result": facts, "manifest": _facts(manifest, 1)}


def _write_document(
    file: IO[bytes],
    row: Backtest,
    tables: Mapping[str, pa.Table],
    bounds: Mapping[str, NDArray[np.int64]],
    at: datetime,
) -> None:
    exact: Exact = {}
    file.write(b"{" + _members({"version": VERSION, "run_id": str(row.task_id), **_asked(row)}) + b",\n" + SYMBOLS)
    summary = tables["symbol_summary"]
    for index, text in enumerate(_rows("symbol_summary", summary, exact)):
        file.write((b",\n" if index else b"") + text[:-1] + SIGNALS)
        for array, name in ARRAYS.items():
            if array == "performance_curve":
                file.write(CURVE)
            _write_rows(file, name, tables[name], slice(*bounds[array][index : index + 2].tolist()), exact)
        file.write(LAST[:-1])
    tail = {
        "total_signals": tables["symbol_signals"].num_rows,
        "execution_time": _seconds(row, at),
        "metadata": {"execution_date": at.isoformat(), "schema_version": SCHEMA_VERSION, "spec": row.spec},
        "description": row.note or None,
        "exact": exact,
    }
    file.write(b"\n]," + _members(tail) + b"}\n")


def _write_rows(file: IO[bytes], name: str, table: pa.Table, part: slice, exact: Exact) -> None:
    for start in range(part.start, part.stop, ROWS_AT_ONCE):
        rows = table.slice(start, min(ROWS_AT_ONCE, part.stop - start)).drop_columns(["symbol"])
        last = start + rows.num_rows == part.stop
        file.write(b",\n".join(_rows(name, rows, exact, first=start)) + (b"\n" if last else b",\n"))


def _rows(name: str, table: pa.Table, exact: Exact, *, first: int = 0) -> Iterator[bytes]:
    """Each row as a JSON object; `first` is the number of the first one."""
    template = "{" + ",".join(f"{json.dumps(column)}:%s" for column in table.column_names) + "}"
    columns = []
    for column in table.column_names:
        kept, odd = _plain(table[column], first)
        if odd:
            exact.setdefault(name, {}).setdefault(column, []).extend(odd)
        columns.append(_texts(kept))
    return ((template % row).encode() for row in zip(*columns, strict=True))


def _plain(column: pa.ChunkedArray, first: int) -> tuple[pa.ChunkedArray, list[list[int]]]:
    """The column without what JSON cannot spell, and the row and bits of each such value."""
    if pa.types.is_floating(column.type):
        values = column.fill_null(0.0).to_numpy()
        odd, bits = ~np.isfinite(values), values.view(np.int64)
    elif pa.types.is_timestamp(column.type):
        bits = pc.fill_null(column.cast(pa.int64()), 0).to_numpy()
        odd = (bits < _EARLIEST) | (bits > _LATEST)
    else:
        return column, []
    if not odd.any():
        return column, []
    kept = pc.if_else(pa.array(odd), pa.scalar(None, column.type), column)
    return kept, [[first + row, int(bits[row])] for row in np.flatnonzero(odd).tolist()]


def _texts(column: pa.ChunkedArray) -> list[str]:
    """Each value as JSON."""
    if pa.types.is_timestamp(column.type):
        return _times(column)
    values = column.to_pylist()
    if pa.types.is_string(column.type):
        spelled = {value: json.dumps(value) for value in set(values)}
        return [spelled[value] for value in values]
    return ["null" if value is None else repr(value) for value in values]


def _times(column: pa.ChunkedArray) -> list[str]:
    micros: NDArray[np.datetime64] = pc.fill_null(column.cast(pa.int64()), 0).to_numpy().view("datetime64[us]")
    texts = np.datetime_as_string(micros, unit="us" if (micros.view(np.int64) % 1_000_000).any() else "s").tolist()
    missing = column.is_null().to_numpy()
    return ["null" if none else f'"{text}+00:00"' for text, none in zip(texts, missing.tolist(), strict=True)]


def _bounds(name: str, tables: Mapping[str, pa.Table]) -> NDArray[np.int64]:
    """Where the rows of each symbol of the summary begin in a table, and where the last ones end."""
    symbols = tables["symbol_summary"]["symbol"].combine_chunks()
    if len(symbols.unique()) != len(symbols):
        raise BadTables("symbol_summary", "a symbol stands in it twice, which JSON cannot hold")
    places = pc.index_in(tables[name]["symbol"], value_set=symbols)
    if places.null_count:
        raise BadTables(name, "it has a symbol that symbol_summary does not have, which JSON cannot hold")
    order = places.to_numpy()
    if (np.diff(order) < 0).any():
        raise BadTables(name, "its symbols are not in the order of symbol_summary, which JSON cannot hold")
    found: NDArray[np.int64] = np.searchsorted(order, np.arange(len(symbols) + 1))
    return found


def _asked(row: Backtest) -> dict[str, Any]:
    return {
        "strategy": row.strategy,
        "params": row.params,
        "start_date": row.start_date.isoformat(),
        "end_date": row.end_date.isoformat(),
        "timeframe": row.timeframe.upper(),
    }


def _legacy_manifest(row: Backtest, path: Path, facts: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    listed = {"name": path.name, "path": path.name, "size_bytes": facts["bytes"], "checksum": md5}
    ran = {
        "started_at": None if row.started_at is None else row.started_at.isoformat(),
        "finished_at": at.isoformat(),
        "duration_ms": round(1000 * _seconds(row, at)),
    }
    return {
        "task_id": str(row.task_id),
        "status": "completed",
        **_asked(row),
        "symbols": row.symbols,
        "result_files": [listed],
        "metadata": ran,
        "summary": {"total_signals": facts["rows"], "symbols_processed": len(row.symbols), "symbols_failed": 0},
        "error": {"occurred": False, "message": None},
    }


def _seconds(row: Backtest, at: datetime) -> float:
    return (at - row.started_at).total_seconds() if row.started_at else 0.0


def _facts(path: Path, rows: int) -> dict[str, Any]:
    fsync_file(path)
    return {"rows": rows, "bytes": path.stat().st_size, "sha256": sha256_file(path)}


def _members(values: Mapping[str, Any]) -> bytes:
    """The members of an object, without its braces."""
    return json.dumps(values, separators=(",", ":"), allow_nan=False)[1:-1].encode()
