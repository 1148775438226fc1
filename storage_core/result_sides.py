"""The two sides of a result, JSON and Parquet: writing those that the storage mode asks for, reading what there is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from storage_core import derive, json_read, json_results, modes, result_files
from storage_core.bar_store import TIMEFRAMES
from storage_core.errors import ResultDamaged, ResultMissing
from storage_core.models import Backtest
from storage_core.modes import JSON, PARQUET
from storage_core.result_base import ResultRoot

if TYPE_CHECKING:
    import pyarrow as pa

log = structlog.get_logger("storage")


@dataclass(slots=True)
class Written:
    """What lies in the folder: rows, bytes and sha256 by file, and of each side that failed the reason."""

    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def metadata(self, compression: str) -> dict[str, Any]:
        """What the metadata of the row says about the files."""
        about = result_files.format_of(compression) if PARQUET in modes.sides_in(self.files) else result_files.SCHEMA
        return {**about, **({"missing": self.missing} if self.missing else {})}


def write(
    folder: Path,
    row: Backtest,
    tables: Mapping[str, pa.Table],
    *,
    sides: Collection[str],
    compression: str,
    at: datetime,
    on_step: Callable[[str], None] = lambda step: None,
) -> Written:
    """Write these sides of the result of `row`, computed at that instant, each file flushed; JSON first.

    Once the JSON is there, a Parquet side that fails is logged and noted in `missing`, and none of it stays. Raises
    BadTables and DiskProblem.
    """
    written = Written()
    if JSON in sides:
        written.files |= json_results.write(folder, row, tables, at=at)
        on_step(JSON)
    if PARQUET not in sides:
        return written
    constants, done = derive.constants_of(row.spec, TIMEFRAMES.get(row.timeframe, 0)), {}
    for name, table in tables.items():
        try:
            done[name] = result_files.write_table(folder, name, table, constants=constants, compression=compression)
        except Exception as error:
            if not written.files:
                raise
            log.exception("the Parquet side of a result failed, its JSON is stored", task_id=str(row.task_id))
            for file in modes.FILES[PARQUET]:
                (folder / modes.file_name(file)).unlink(missing_ok=True)
            written.missing = {PARQUET: f"{type(error).__name__}: {error}"}
            return written
        on_step(name)
    written.files |= done
    return written


def read(
    root: ResultRoot,
    row: Backtest,
    name: str,
    *,
    columns: Sequence[str] | None = None,
    symbol: str | None = None,
) -> pa.Table:
    """Read a table as `result_store.read_table` does: Parquet, or else JSON."""
    noted = row.metadata_.get("files") or {}
    sides = modes.sides_in(noted)
    if JSON not in sides:
        return read_side(root, row, name, PARQUET, columns=columns, symbol=symbol)
    if PARQUET in sides:
        try:
            return read_side(root, row, name, PARQUET, columns=columns, symbol=symbol)
        except (ResultMissing, ResultDamaged) as error:
            log.error("a Parquet file cannot be read, its JSON is", task_id=str(row.task_id), problem=str(error))
    return read_side(root, row, name, JSON, columns=columns, symbol=symbol)


def read_side(
    root: ResultRoot,
    row: Backtest,
    name: str,
    side: str,
    *,
    columns: Sequence[str] | None = None,
    symbol: str | None = None,
) -> pa.Table:
    """Read a table from this side. Raises ResultMissing, ResultDamaged, UnknownSchema."""
    files = row.metadata_.get("files") or {}
    if side == PARQUET:
        digest = (files.get(name) or {}).get("sha256")
        return root.read(row, name, partial(result_files.read, sha256=digest, columns=columns, symbol=symbol))
    digest = files["result"]["sha256"]
    return root.read(row, "result", partial(json_read.read, name=name, sha256=digest, columns=columns, symbol=symbol))
