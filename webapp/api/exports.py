"""Exports of one result, written piece by piece while they are sent. Loads pyarrow."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from flask import Response

from storage_core import result_store
from storage_core.export_formats import FORMS, result_lines
from storage_core.export_formats import safe as safe_cell
from storage_core.models import Backtest
from storage_core.modes import LINES
from storage_core.result_store import TABLES
from storage_core.settings import Settings
from webapp.api.answers import Detail
from webapp.api.requests import ExportQuery
from webapp.api.tables import _defined
from webapp.report import report_html

if TYPE_CHECKING:
    from pyarrow import Table

BATCH = 20_000
TYPES = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "zip": "application/zip",
    "parquet-zip": "application/zip",
    "legacy": "application/json",
    "html": "text/html; charset=utf-8",
}
ENDINGS = {"parquet-zip": "parquet.zip", "legacy": "result.json"}
RISKY = r"^([=+\-@\t\r\n'])"
"""A text that begins so would be a formula to a spreadsheet: it gets a ' before it."""


def export(settings: Settings, backtest: Backtest, query: ExportQuery) -> Response:
    """The file. All tables are read before the first byte goes out: what is damaged is an error, not half a file."""
    name = f"{backtest.strategy}-{backtest.task_id}"
    if query.format in ("csv", "parquet"):
        name += f"-{query.table}"
    safe = "".join(
        character if (character.isalnum() and character.isascii()) or character in "-_" else "_" for character in name
    )
    ending = ENDINGS.get(query.format, query.format)
    headers = {"Content-Disposition": f'attachment; filename="{safe}.{ending}"'}
    return Response(_stream(settings, backtest, query), headers=headers, content_type=TYPES[query.format])


def _stream(settings: Settings, backtest: Backtest, query: ExportQuery) -> Iterator[bytes]:
    if query.format == "html":
        return iter([report_html(backtest).encode()])
    if query.format == "legacy":
        return _legacy(settings, backtest)
    one = query.format in ("csv", "parquet")
    tables = {table: result_store.read_table(settings, backtest, table) for table in ([query.table] if one else TABLES)}
    if not one and (lines := result_lines(settings, backtest)) is not None:
        tables[LINES] = lines
    makers = {"json": _json, "csv": _csv, "parquet": _parquet, "zip": _zip, "parquet-zip": _parquet_zip}
    return makers[query.format](Detail.of(backtest), tables)


def _legacy(settings: Settings, backtest: Backtest) -> Iterator[bytes]:
    """result.json in the legacy layout, made whole before the first byte goes out."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  it is closed by whoever sends it
    with tempfile.TemporaryDirectory() as folder:
        FORMS["json"].write(settings, backtest, Path(folder))
        (found,) = (path for path in sorted(Path(folder).rglob("*.json")) if path.name != "manifest.json")
        with found.open("rb") as source:
            shutil.copyfileobj(source, file)
    file.seek(0)
    return _pieces(file)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(1 << 18):
            yield piece


class _Pipe(io.RawIOBase):
    """Takes what a writer writes and gives it to the answer; knows its place and cannot go back."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        self._at += len(self._parts[-1])
        return len(self._parts[-1])

    def tell(self) -> int:
        return self._at

    def take(self) -> bytes:
        taken, self._parts = b"".join(self._parts), []
        return taken


def _json(detail: Detail, tables: dict[str, Table]) -> Iterator[bytes]:
    yield b'{"backtest":' + detail.model_dump_json().encode()
    for name, table in tables.items():
        yield f',"{name}":['.encode()
        first = True
        for batch in table.to_batches(max_chunksize=BATCH):
            rows = [json.dumps({key: _plain(value) for key, value in row.items()}) for row in batch.to_pylist()]
            if rows:
                yield (("" if first else ",") + ",".join(rows)).encode()
                first = False
        yield b"]"
    yield b"}"


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else _defined(value)


def _csv(_detail: Detail, tables: dict[str, Table]) -> Iterator[bytes]:
    (table,) = tables.values()
    return _csv_parts(table)


def _csv_parts(table: Table) -> Iterator[bytes]:
    safe = [
        pc.replace_substring_regex(column, pattern=RISKY, replacement=r"'\1")
        if pa.types.is_string(column.type)
        else column
        for column in table.columns
    ]
    table = pa.table(safe, names=[safe_cell(name) for name in table.column_names])
    for start in range(0, max(table.num_rows, 1), BATCH):
        sink = io.BytesIO()
        options = pyarrow.csv.WriteOptions(include_header=start == 0)
        pyarrow.csv.write_csv(table.slice(start, BATCH), sink, options)
        yield sink.getvalue()


def _parquet(_detail: Detail, tables: dict[str, Table]) -> Iterator[bytes]:
    (table,) = tables.values()
    pipe = _Pipe()
    with pyarrow.parquet.ParquetWriter(pipe, table.schema, compression="zstd") as writer:
        for start in range(0, table.num_rows, BATCH * 10):
            writer.write_table(table.slice(start, BATCH * 10))
            yield pipe.take()
    yield pipe.take()


def _zip(detail: Detail, tables: dict[str, Table]) -> Iterator[bytes]:
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("backtest.json", detail.model_dump_json(indent=2))
        yield pipe.take()
        for name, table in tables.items():
            with archive.open(f"{name}.csv", "w", force_zip64=True) as file:
                for part in _csv_parts(table):
                    file.write(part)
                    yield pipe.take()
    yield pipe.take()


def _parquet_zip(detail: Detail, tables: dict[str, Table]) -> Iterator[bytes]:
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:  # Parquet is packed already
        archive.writestr("backtest.json", detail.model_dump_json(indent=2))
        yield pipe.take()
        for name, table in tables.items():
            with archive.open(f"{name}.parquet", "w", force_zip64=True) as file:
                for part in _parquet(detail, {name: table}):
                    file.write(part)
                    yield pipe.take()
    yield pipe.take()
