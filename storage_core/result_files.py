"""The Parquet files of one result folder: writing them, reading them, checking them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage_core import derive, modes, parquet
from storage_core.errors import BadTables, ResultDamaged, UnknownSchema
from storage_core.files import disk_problems, fsync_file, sha256_file
from storage_core.formulas import FORMULA_VERSION
from storage_core.schemas import KNOWN_VERSIONS, SCHEMA_VERSION, SCHEMAS

SCHEMA = {"schema_version": SCHEMA_VERSION}
FORMAT = {**SCHEMA, "compression": parquet.COMPRESSION, "formula_version": FORMULA_VERSION}
"""What the metadata of a row says about the files."""
UNREADABLE = (pa.ArrowException, OSError, LookupError, ValueError, TypeError, ArithmeticError)
"""What reading Parquet with changed bits in it may raise."""
SMALL = 10_000
"""Rows up to which a table has no statistics: nobody skips parts of it, and they were an eighth of its bytes."""
VERSION_KEY, _LEFT_OUT_KEY = "coin_hts.schema_version", "coin_hts.left_out"


def format_of(compression: str) -> dict[str, str]:
    """`FORMAT` of files packed so."""
    return {**FORMAT, "compression": compression}


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


def write_table(
    folder: Path, name: str, table: pa.Table, *, constants: Mapping[str, float], compression: str = parquet.COMPRESSION
) -> dict[str, Any]:
    """Write one table to `folder`, flushed to the disk; returns its rows, bytes, sha256 and formulas.

    Columns that follow from others and `constants` (of `derive.constants_of`) are left out. Raises DiskProblem.
    """
    kept, omitted = derive.leave_out(name, table, constants)
    notes = {VERSION_KEY: SCHEMA_VERSION, _LEFT_OUT_KEY: json.dumps(omitted)}
    path = folder / modes.file_name(name)
    with disk_problems(path):
        statistics = kept.num_rows > SMALL
        parquet.write_table(kept, path, notes=notes, compression=compression, statistics=statistics)
        fsync_file(path)
        facts: dict[str, Any] = {"rows": table.num_rows, "bytes": path.stat().st_size, "sha256": sha256_file(path)}
    facts["left_out"] = {column: {"formula": note["formula"], **note["constants"]} for column, note in omitted.items()}
    return facts


def read(
    path: Path, *, sha256: str | None = None, columns: Sequence[str] | None = None, symbol: str | None = None
) -> pa.Table:
    """Read one file of a result in its schema's order, one symbol's rows only when `symbol` is given.

    Columns that were left out are computed again, bit for bit. Without `sha256`, that of the file when it was stored, a
    bit that changed in its footer can go unseen. Raises FileNotFoundError, ResultDamaged, UnknownSchema.
    """
    schema = SCHEMAS[path.stem]
    names = list(schema.names if columns is None else columns)
    wanted = names if symbol is None or "symbol" in names else [*names, "symbol"]
    try:
        check_sha256(path, sha256)
        table = _read(path, pa.schema([schema.field(name) for name in wanted]))
    except (FileNotFoundError, UnknownSchema, ResultDamaged):
        raise
    except UNREADABLE as error:
        raise ResultDamaged(path, (str(error) or repr(error)).splitlines()[0]) from error
    if symbol is not None:
        table = table.filter(pc.equal(table["symbol"], symbol))
    return table.select(names)


def _read(path: Path, schema: pa.Schema) -> pa.Table:
    texts = [field.name for field in SCHEMAS[path.stem] if pa.types.is_string(field.type)]
    with pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=texts) as file:
        notes = _notes(file)
        stored = derive.stored_columns(path.stem, schema.names, notes)
        if missing := set(stored) - set(file.schema_arrow.names):
            raise ValueError(f"columns are missing: {', '.join(sorted(missing))}")
        return derive.give_back(path.stem, file.read(columns=stored), schema, notes)


def check_sha256(path: Path, sha256: str | None) -> None:
    """Raise ResultDamaged when the file is not the one that was stored: pages have checksums, footers have none.

    It costs a hundredth of what reading the columns does. Raises OSError.
    """
    if sha256 is not None and sha256_file(path) != sha256:
        raise ResultDamaged(path, "its sha256 is not the one that was stored")


def left_out(path: Path) -> derive.Notes:
    """What a file says of the columns that it leaves out. Raises UnknownSchema, pyarrow.ArrowException, OSError."""
    with pq.ParquetFile(path) as file:
        return _notes(file)


def _notes(file: pq.ParquetFile) -> derive.Notes:
    known: derive.Notes = json.loads(notes_of(file).get(_LEFT_OUT_KEY, "{}"))
    return known


def notes_of(file: pq.ParquetFile) -> dict[str, str]:
    """What stands in the footer of a file of a result. Raises UnknownSchema."""
    notes = {key.decode(): value.decode() for key, value in (file.schema_arrow.metadata or {}).items()}
    version = notes.get(VERSION_KEY, "")
    if version not in KNOWN_VERSIONS:
        raise UnknownSchema(version, KNOWN_VERSIONS)
    return notes


def verify(folder: Path, files: Mapping[str, Mapping[str, Any]], *, deep: bool = True) -> None:
    """Compare the files of a result with what was noted of them: bytes and, when `deep`, sha256 and rows.

    Raises ResultDamaged naming the first file that differs.
    """
    if not modes.complete(files):
        raise ResultDamaged(folder, f"files were noted for {sorted(files)}, not for {sorted(SCHEMAS)}")
    for name, facts in files.items():
        path = folder / modes.file_name(name)
        if not path.is_file():
            raise ResultDamaged(path, "it does not exist")
        if path.stat().st_size != facts["bytes"]:
            raise ResultDamaged(path, f"it has {path.stat().st_size} bytes, {facts['bytes']} were stored")
        check_sha256(path, facts["sha256"] if deep else None)
        if deep and name in SCHEMAS and pq.read_metadata(path).num_rows != facts["rows"]:
            raise ResultDamaged(path, f"it does not have the {facts['rows']} rows that were stored")
