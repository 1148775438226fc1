"""`strategy_lines.parquet`: the lines that a person's own strategy drew, beside the sides of its result in every mode.

They are a picture, no figure: nothing else can give them back, and a result is as good without them. The metadata of
the row says of them `{"drawn": [{"label", "pane", "faint"}, ...], "problem": ""}`, in the order of the columns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from storage_core.errors import BadTables, DiskProblem, ResultDamaged, UnknownSchema
from storage_core.files import disk_problems, fsync_file, sha256_file
from storage_core.models import Backtest
from storage_core.modes import JSON, LINES, file_name, sides_in
from storage_core.result_base import ResultRoot

if TYPE_CHECKING:
    import pyarrow as pa

log = structlog.get_logger("storage")

LOST = "their file was missing or damaged, and nothing else has them; run the backtest again"
UNWRITTEN = "they could not be stored"


def drawn(metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Label, pane and faintness of each line that a result has."""
    found: list[dict[str, Any]] = (metadata.get("lines") or {}).get("drawn") or []
    return found


def problem(metadata: Mapping[str, Any]) -> str:
    """Why a result has no lines although its strategy draws some; else ""."""
    return str((metadata.get("lines") or {}).get("problem") or "")


def lost(metadata: Mapping[str, Any]) -> bool:
    """Whether a result had lines and has none any more through no fault of its strategy."""
    return problem(metadata).startswith((LOST, UNWRITTEN))


def without(metadata: Mapping[str, Any], problem: str) -> dict[str, Any]:
    """The metadata of a result whose lines are not there, for that reason."""
    return {**metadata, "lines": {"drawn": [], "problem": problem}}


def check(table: pa.Table | None, metadata: Mapping[str, Any]) -> None:
    """Raise BadTables unless the table has one column for each line that the metadata names."""
    from storage_core.schemas import lines_schema

    count = len(drawn(metadata))
    if table is None:
        if count:
            raise BadTables(LINES, f"the metadata names {count} lines, there are none")
        return
    if table.schema != lines_schema(count):
        raise BadTables(LINES, f"its columns are {table.schema.names}, they must be those of {count} lines")
    if table["symbol"].null_count or table["timestamp"].null_count:
        raise BadTables(LINES, "it has rows without a symbol or a time")


def add(
    folder: Path, table: pa.Table, metadata: Mapping[str, Any], files: dict[str, dict[str, Any]], *, compression: str
) -> dict[str, Any]:
    """Write the lines beside the `files` that are in the folder, and note them there; the metadata as it is then.

    Once the JSON is there, lines that cannot be written are left out, and the metadata says why. Else raises
    DiskProblem.
    """
    try:
        files[LINES] = write(folder, table, drawn(metadata), compression=compression)
    except DiskProblem as error:
        if JSON not in sides_in(files):
            raise
        log.exception("the lines of a strategy could not be written, its result is stored without them")
        (folder / file_name(LINES)).unlink(missing_ok=True)
        return without(metadata, f"{UNWRITTEN}: {error}")
    return dict(metadata)


def write(folder: Path, table: pa.Table, lines: Sequence[Mapping[str, Any]], *, compression: str) -> dict[str, Any]:
    """Write the file, flushed to the disk; returns its rows, bytes and sha256. Raises DiskProblem."""
    from storage_core import parquet
    from storage_core.result_files import VERSION_KEY
    from storage_core.schemas import SCHEMA_VERSION

    named = [{"column": column, **line} for column, line in zip(table.column_names[2:], lines, strict=True)]
    notes = {VERSION_KEY: SCHEMA_VERSION, "coin_hts.lines": json.dumps(named, ensure_ascii=False)}
    path = folder / file_name(LINES)
    with disk_problems(path):
        parquet.write_table(table, path, notes=notes, compression=compression)
        fsync_file(path)
        return {"rows": table.num_rows, "bytes": path.stat().st_size, "sha256": sha256_file(path)}


def read(root: ResultRoot, row: Backtest, *, symbol: str | None = None) -> pa.Table:
    """Symbol, timestamp and `line_1`, `line_2`, ... of a result, of one symbol when `symbol` is given.

    Raises ResultMissing, ResultDamaged, UnknownSchema.
    """
    count, facts = len(drawn(row.metadata_)), (row.metadata_.get("files") or {}).get(LINES) or {}
    return root.read(row, LINES, lambda path: read_file(path, count, sha256=facts.get("sha256"), symbol=symbol))


def read_file(path: Path, count: int, *, sha256: str | None = None, symbol: str | None = None) -> pa.Table:
    """The same from the file at `path`, which has so many lines and, when it is given, that digest.

    Raises FileNotFoundError, ResultDamaged, UnknownSchema.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from storage_core.result_files import UNREADABLE, check_sha256, notes_of
    from storage_core.schemas import lines_schema

    try:
        check_sha256(path, sha256)
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            notes_of(file)
            table = file.read().replace_schema_metadata(None).cast(lines_schema(count))
    except (FileNotFoundError, UnknownSchema, ResultDamaged):
        raise
    except UNREADABLE as error:
        raise ResultDamaged(path, (str(error) or repr(error)).splitlines()[0]) from error
    return table if symbol is None else table.filter(pa.compute.equal(table["symbol"], symbol))
