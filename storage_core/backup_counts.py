"""What a database holds, in a form that can be compared after a restore: rows of each table, digests of some rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, MetaData, String, Table, func, inspect, select
from sqlalchemy.sql.elements import ColumnElement

from storage_core.db import UtcDateTime

SAMPLE = 100
"""Rows from each end of a table, by its primary key."""


def revision(connection: Connection) -> str | None:
    """The revision of the schema, None when no migration ever ran."""
    from alembic.runtime.migration import MigrationContext

    return MigrationContext.configure(connection).get_current_revision()


def table_counts(connection: Connection) -> dict[str, int]:
    """The number of rows of every table, whatever the schema is."""
    tables = ((name, Table(name, MetaData())) for name in sorted(inspect(connection).get_table_names()))
    return {name: connection.scalar(select(func.count()).select_from(table)) or 0 for name, table in tables}


def table_samples(connection: Connection) -> dict[str, str]:
    """Of every table that has a primary key, a digest of its first and last rows; the same on any server."""
    return {name: _digest(connection, table, keys) for name, table, keys in _tables(connection)}


def differences(expected: Mapping[str, object], found: Mapping[str, object], what: str) -> Iterator[str]:
    """In words, what is not as it must be."""
    for name in sorted(expected.keys() | found.keys()):
        was, must = found.get(name), expected.get(name)
        if was != must:
            shown = f"{was}, not {must}" if isinstance(must, int) else "not what it was"
            yield f"{what} of {name}: {'missing' if was is None else shown}"


def _tables(connection: Connection) -> Iterator[tuple[str, Table, list[str]]]:
    """Each table with its columns and the names of those of its primary key; indexes do not matter here."""
    inspector = inspect(connection)
    for name in sorted(inspector.get_table_names()):
        keys = inspector.get_pk_constraint(name)["constrained_columns"]
        if keys:
            columns = (Column(column["name"], column["type"]) for column in inspector.get_columns(name))
            yield name, Table(name, MetaData(), *columns), keys


def _digest(connection: Connection, table: Table, primary: list[str]) -> str:
    keys = [_plain_order(connection, table.columns[name]) for name in primary]
    digest = hashlib.sha256()
    for order in (keys, [key.desc() for key in keys]):
        for row in connection.execute(select(table).order_by(*order).limit(SAMPLE)):
            digest.update(json.dumps([_plain(value) for value in row], sort_keys=True, ensure_ascii=False).encode())
    return digest.hexdigest()


def _plain_order(connection: Connection, column: Column[Any]) -> ColumnElement[Any]:
    """Servers sort text by their own locale; bytes are the same everywhere."""
    if connection.dialect.name == "postgresql" and isinstance(column.type, String):
        return column.collate("C")
    return column


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        aware = UtcDateTime().process_result_value(value, None)  # type: ignore[arg-type]
        return str(aware)
    return value if isinstance(value, (str, int, float, bool, dict, list, type(None))) else str(value)
