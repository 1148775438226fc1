"""How one backtest looks in each form of an export: its line in the list, and its tables."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from sqlalchemy import inspect

from storage_core import parquet, result_store
from storage_core.files import disk_problems
from storage_core.models import Backtest
from storage_core.models.backtest import METRIC_COLUMNS
from storage_core.modes import LINES
from storage_core.result_store import TABLES
from storage_core.settings import Settings
from storage_core.strategy_lines import drawn

LISTED = (
    "task_id", "strategy", "symbols", "timeframe", "start_date", "end_date", "status", "source", "created_at",
    "started_at", "finished_at", "record_count", "file_size", "params", *METRIC_COLUMNS, "pinned", "tags", "note",
    "error_code", "error_message",
)  # fmt: skip
"""Columns of the row in `backtests.csv`; `backtests.jsonl` has all of them."""
_COLUMNS = {attribute.key: attribute.columns[0].name for attribute in inspect(Backtest).column_attrs}
RISKY = "=+-@\t\r\n'＝＋－＠"
"""A text that begins with one of these gets a ' before it: a spreadsheet would take most of them for a formula."""
_RISKY = f"^([{re.escape(RISKY)}])"

Write = Callable[[Settings, Backtest, Path], None]
Note = Callable[[Backtest], None]


@dataclass(frozen=True, slots=True)
class Form:
    """`listing(folder)` is entered once and gives what notes a row; `write` puts the files of a result in a folder."""

    write: Write
    listing: Callable[[Path], Any]


def safe(text: str) -> str:
    """The text as a CSV cell that no spreadsheet runs; taking away one leading ' gives it back."""
    return f"'{text}" if text[:1] and text[0] in RISKY else text


@contextmanager
def _csv_listing(folder: Path) -> Iterator[Note]:
    with disk_problems(folder), (folder / "backtests.csv").open("x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)  # lines end with CR LF: only then does Python 3.11 quote a CR inside a cell
        writer.writerow(LISTED)
        yield lambda row: writer.writerow([_cell(getattr(row, name)) for name in LISTED])


@contextmanager
def _json_listing(folder: Path) -> Iterator[Note]:
    with disk_problems(folder), (folder / "backtests.jsonl").open("x", encoding="utf-8") as file:
        yield lambda row: _write_line(file, row)


def _write_line(file: IO[str], row: Backtest) -> None:
    values = {column: _plain(getattr(row, name)) for name, column in _COLUMNS.items()}
    file.write(json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str):
        return safe(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else _plain(value)


def _write_csv(settings: Settings, row: Backtest, folder: Path) -> None:
    for name, path in _places(row, folder, "csv"):
        table = result_store.read_table(settings, row, name)
        safe_columns = [_safe_column(column) for column in table.columns]
        _write_csv_table(safe_columns, table.column_names, path)
    if (lines := result_lines(settings, row)) is not None:
        names = [safe(name) for name in lines.column_names]
        _write_csv_table(
            [_safe_column(column) for column in lines.columns], names, folder / f"{row.task_id}/{LINES}.csv"
        )


def _write_csv_table(columns: list[pa.ChunkedArray], names: list[str], path: Path) -> None:
    with disk_problems(path):
        pacsv.write_csv(pa.table(columns, names=names), path)


def result_lines(settings: Settings, row: Backtest) -> pa.Table | None:
    """The lines of the strategy, each column called by its label; None when the result has none."""
    lines = result_store.read_lines(settings, row)
    if lines is None:
        return None
    return lines.rename_columns([*lines.column_names[:2], *(line["label"] for line in drawn(row.metadata_))])


def _safe_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_string(column.type):
        return pc.replace_substring_regex(column, pattern=_RISKY, replacement=r"'\1")
    return column


def _write_parquet(settings: Settings, row: Backtest, folder: Path) -> None:
    for name, path in _places(row, folder, "parquet"):
        table = result_store.read_table(settings, row, name)
        with disk_problems(path):
            parquet.write_table(table, path)
    if (lines := result_lines(settings, row)) is not None:
        path = folder / f"{row.task_id}/{LINES}.parquet"
        with disk_problems(path):
            parquet.write_table(lines, path)


def _write_json(settings: Settings, row: Backtest, folder: Path) -> None:
    """The legacy files as they were or, for a result of our own, in the fuller of the legacy shapes."""
    if row.source == "legacy":
        from storage_core.legacy_rollback import rebuilt

        for name, data in rebuilt(settings, row).items():
            with disk_problems(folder / name):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)
        return
    from storage_core import json_results

    tables = {name: result_store.read_table(settings, row, name) for name in TABLES}
    place = folder / "tasks" / str(row.task_id)
    with disk_problems(place):
        place.mkdir(parents=True)
    json_results.write(place, row, tables, at=row.finished_at or row.updated_at)


def _places(row: Backtest, folder: Path, ending: str) -> Iterator[tuple[str, Path]]:
    """Each table and the file for it, in a folder of the backtest's own."""
    place = folder / str(row.task_id)
    with disk_problems(place):
        place.mkdir()
    for name in TABLES:
        yield name, place / f"{name}.{ending}"


_CSV = Form(_write_csv, _csv_listing)
FORMS = {
    "json": Form(_write_json, _json_listing),
    "csv": _CSV,
    "parquet": Form(_write_parquet, _json_listing),
    "zip": _CSV,
}
"""By the name of the form, as `export.FORMATS` has them."""
