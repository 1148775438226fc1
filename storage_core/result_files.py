"""The Parquet files of one result folder: writing them, reading them, checking them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage_core import parquet
from storage_core.errors import BadTables, ResultDamaged, UnknownSchema
from storage_core.files import disk_problems, fsync_file, sha256_file
from storage_core.schemas import KNOWN_VERSIONS, SCHEMA_VERSION, SCHEMAS

FORMAT = {"schema_version": SCHEMA_VERSION, "compression": parquet.COMPRESSION}
"""What the metadata of a row says about the files."""
_VERSION_KEY = "coin_hts.schema_version"


def check_tables(tables: Mapping[str, pa.Table]) -> None:
    """Raise BadTables unless each table has exactly its schema."""
    for name, table in tables.items():
        expected = SCHEMAS[name]
        if table.schema.names != expected.names:
            raise BadTables(name, f"its columns are {table.schema.names}, they must be {expected.names}")
        for field in expected:
            if table.schema.field(field.name).type != field.type:
                found = table.schema.field(field.name).type
                raise BadTables(name, f"its column {field.name} is {found}, it must be {field.type}")
        if table.column("symbol").null_count:
            raise BadTables(name, "it has rows without a symbol")


def write_tables(
    folder: Path, tables: Mapping[str, pa.Table], *, on_step: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Write each table to `folder`, flushed to the disk; returns rows, bytes and sha256 of each. Raises DiskProblem."""
    return {name: _write(folder / f"{name}.parquet", table, on_step) for name, table in tables.items()}


def read(path: Path, *, columns: Sequence[str] | None = None, symbol: str | None = None) -> pa.Table:
    """Read one file of a result in its schema's order, one symbol's rows only when `symbol` is given.

    Raises FileNotFoundError, ResultDamaged and UnknownSchema.
    """
    schema = SCHEMAS[path.stem]
    names = list(schema.names if columns is None else columns)
    wanted = names if symbol is None or "symbol" in names else [*names, "symbol"]
    try:
        table = parquet.read_table(path, columns=wanted)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise ResultDamaged(path, str(error).splitlines()[0]) from error
    version = (table.schema.metadata or {}).get(_VERSION_KEY.encode(), b"").decode(errors="replace")
    if version not in KNOWN_VERSIONS:
        raise UnknownSchema(version, KNOWN_VERSIONS)
    if missing := set(wanted) - set(table.column_names):
        raise ResultDamaged(path, f"columns are missing: {', '.join(sorted(missing))}")
    if symbol is not None:
        table = table.filter(pc.equal(table["symbol"], symbol))
    return table.select(names).cast(pa.schema([schema.field(name) for name in names]))


def verify(folder: Path, files: Mapping[str, Mapping[str, Any]], *, deep: bool = True) -> None:
    """Compare the files of a result with what was noted of them: bytes and, when `deep`, sha256 and rows.

    Raises ResultDamaged naming the first file that differs.
    """
    if set(files) != set(SCHEMAS):
        raise ResultDamaged(folder, f"files were noted for {sorted(files)}, not for {sorted(SCHEMAS)}")
    for name, facts in files.items():
        path = folder / f"{name}.parquet"
        if not path.is_file():
            raise ResultDamaged(path, "it does not exist")
        if path.stat().st_size != facts["bytes"]:
            raise ResultDamaged(path, f"it has {path.stat().st_size} bytes, {facts['bytes']} were stored")
        if deep and sha256_file(path) != facts["sha256"]:
            raise ResultDamaged(path, "its sha256 is not the one that was stored")
        if deep and pq.read_metadata(path).num_rows != facts["rows"]:
            raise ResultDamaged(path, f"it does not have the {facts['rows']} rows that were stored")


def _write(path: Path, table: pa.Table, on_step: Callable[[str], None]) -> dict[str, Any]:
    with disk_problems(path):
        parquet.write_table(table, path, notes={_VERSION_KEY: SCHEMA_VERSION})
        fsync_file(path)
        facts = {"rows": table.num_rows, "bytes": path.stat().st_size, "sha256": sha256_file(path)}
    on_step(path.stem)
    return facts
