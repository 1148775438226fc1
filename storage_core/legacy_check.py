"""Is what is stored equal to the legacy file? Every value of every table, the row, and the way back."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from storage_core import legacy_document, result_store
from storage_core.errors import StorageError
from storage_core.legacy_errors import BadLegacyFile
from storage_core.legacy_parse import Legacy
from storage_core.models import Backtest
from storage_core.result_store import TABLES
from storage_core.settings import Settings

_NOT_EQUAL = "not-equal"
_OF_THE_FILE = {"created_at", "queued_at", "finished_at"}
"""Times that only the file itself tells: another copy of it may tell others."""
_OF_THE_PLACE = ("layout", "manifest")
"""What another copy of the same result, or its backup, may have otherwise."""


def check_row(row: Backtest, legacy: Legacy) -> None:
    """Raise BadLegacyFile when a column of the row, or what it keeps for the way back, is not as it should be."""
    passing = {"updated_at"} | (_OF_THE_FILE if legacy.legacy["created_at_from"] == "file" else set())
    for name, value in legacy.columns.items():
        if name not in passing and getattr(row, name) != value:
            raise _differs(name, "the row")
    kept = row.metadata_.get("legacy") or {}
    for name, value in legacy.legacy.items():
        if kept.get(name) != value and name not in _OF_THE_PLACE:
            raise _differs(f"metadata.legacy.{name}", "the row")


def check_tables(tables: Mapping[str, pa.Table], legacy: Legacy, frame: str) -> None:
    """Raise BadLegacyFile unless the tables, read back, are those converted and give the same document again."""
    if legacy.tables is None:
        return
    for name, expected in legacy.tables.by_name().items():
        if not tables[name].equals(expected):
            column = next((c for c in expected.column_names if not tables[name][c].equals(expected[c])), "its rows")
            raise _differs(column, f"the table {name}")
    again = legacy_document.to_document(frame, tables)
    if legacy_document.digest(again) != legacy.legacy["digest"]:
        raise _differs("the document", "what comes back from the tables")


def read_tables(settings: Settings, row: Backtest) -> dict[str, pa.Table]:
    """The tables of a stored result by name; none when it has no result. Raises ResultMissing, ResultDamaged."""
    if row.status != "completed":
        return {}
    return {name: result_store.read_table(settings, row, name).combine_chunks() for name in TABLES}


def check_stored(settings: Settings, row: Backtest, legacy: Legacy) -> None:
    """Compare a stored result with its legacy file. Raises BadLegacyFile saying what differs or is damaged."""
    check_row(row, legacy)
    try:
        tables = read_tables(settings, row)
    except StorageError as error:
        raise BadLegacyFile("damaged", "", f"is stored, but {error} (--force stores it again)") from error
    check_tables(tables, legacy, row.metadata_["legacy"].get("document", ""))


def _differs(field: str, where: str) -> BadLegacyFile:
    return BadLegacyFile(_NOT_EQUAL, field, f"differs in {where} that was stored (--force stores it again)")
