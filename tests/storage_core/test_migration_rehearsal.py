"""A database of the first migration with rows in it goes up to the newest schema and down again: no value changes.

On the way up each table is filled by the revision that made it, so that every later revision meets rows in it.
"""

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Boolean, Date, DateTime, Engine, Uuid, inspect, text
from sqlalchemy import column as plain_column
from sqlalchemy import table as plain_table
from sqlalchemy.types import TypeDecorator

from storage_core import migrate
from storage_core.backtest_list import list_page
from storage_core.db import Base, make_engine, session_scope
from tests.databases import fresh_postgresql_database

TASK_IDS = [uuid.UUID(int=2**120 + number) for number in range(2)]
CHECKED = {
    "role": "admin", "theme": "auto", "status": "completed", "scope": "read", "kind": "imported", "every": "day",
    "progress": 0.5, "owner_id": 1, "start_date": date(2024, 1, 1), "end_date": date(2024, 2, 1),
}  # fmt: skip
"""Values that a CHECK or a foreign key allows."""
REVISIONS = [one.revision for one in ScriptDirectory(str(migrate.MIGRATIONS_DIR)).walk_revisions()][::-1]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Engine]]:
    """A database without any table: its address, and an engine."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/old.sqlite3"
        engine = make_engine(url)
        yield url, engine
        engine.dispose()
        return
    with fresh_postgresql_database(request.getfixturevalue("postgres_server")) as url:
        engine = make_engine(url)
        yield url, engine
        engine.dispose()


MADE: list[tuple[type, Callable[[int], Any]]] = [
    (JSON, lambda number: [1.5, None, "그 ü", {"deep": [True, -0.0, 5e-324]}]),
    (Uuid, lambda number: TASK_IDS[number]),
    (Boolean, lambda number: number == 0),
    (DateTime, lambda number: datetime(2025, 12, 31, 23, 59, 59, 999_999 - number, UTC)),
    (Date, lambda number: date(2024, 1, 1 + number)),
]


def value_of(name: str, kind: Any, number: int) -> Any:
    """A value of its type for the column `name` of row `number`."""
    kind = kind.impl if isinstance(kind, TypeDecorator) else kind
    if name in CHECKED:
        return CHECKED[name]
    for known, make in MADE:
        if isinstance(kind, known):
            return make(number)
    if kind.python_type is str:
        return f"{number} {name} ü"[: kind.length]
    return kind.python_type(number + 1)


def fill(engine: Engine, name: str) -> None:
    """Two rows in a table as it is now: one with a value in every column, one with only those that it needs."""
    known = Base.metadata.tables[name].columns
    columns = [one for one in inspect(engine).get_columns(name) if one["name"] in known]
    columns = [one for one in columns if not (one["name"] == "id" and name == "backtest_events")]
    made = plain_table(name, *(plain_column(one["name"], known[one["name"]].type) for one in columns))
    with engine.begin() as connection:
        for number in range(2):
            full = {one["name"]: value_of(one["name"], known[one["name"]].type, number) for one in columns}
            needed = {one["name"] for one in columns if not one["nullable"]}
            connection.execute(made.insert().values({k: v for k, v in full.items() if number == 0 or k in needed}))


def columns_of(engine: Engine) -> dict[str, list[str]]:
    """The tables as they are now, and their columns."""
    found = inspect(engine)
    names = sorted(set(found.get_table_names()) - {"alembic_version"})
    return {name: [one["name"] for one in found.get_columns(name)] for name in names}


def content(engine: Engine, columns: dict[str, list[str]]) -> dict[str, list[str]]:
    """Every value in those columns, as the driver gives it."""
    found = {}
    with engine.connect() as connection:
        for name, some in columns.items():
            rows = connection.execute(text(f"SELECT {', '.join(some)} FROM {name}"))  # noqa: S608
            found[name] = sorted(json.dumps([repr(value) for value in row]) for row in rows)
    return found


def test_rows_of_every_age_come_through_up_and_down(database: tuple[str, Engine]) -> None:
    url, engine = database
    seen: list[tuple[str, dict[str, list[str]], dict[str, list[str]]]] = []
    known: dict[str, list[str]] = {}
    for revision in REVISIONS:
        migrate.upgrade(url, revision=revision)
        for _, columns, was in seen:
            assert content(engine, columns) == was, f"{revision} changed a row"
        now = columns_of(engine)
        for name in (table.name for table in Base.metadata.sorted_tables if table.name in now.keys() - known.keys()):
            fill(engine, name)
        seen.append((revision, now, content(engine, now)))
        known = now
    assert migrate.is_current(engine)
    assert {name: len(rows) for name, rows in seen[0][2].items()} == {
        "backtest_events": 2, "backtest_results": 2, "users": 2,
    }  # fmt: skip
    assert set(known) == set(Base.metadata.tables), "every table has met every later revision"
    with session_scope(engine) as session:
        assert [row.task_id for row in list_page(session, owner_id=2, filters=None).rows] == [TASK_IDS[1]]

    for revision, columns, was in reversed(seen[:-1]):
        migrate.downgrade(url, revision=revision)
        assert columns_of(engine) == columns, f"down to {revision}: other tables or columns"
        assert content(engine, columns) == was, f"down to {revision}: another row"
    migrate.upgrade(url)
    assert content(engine, seen[0][1]) == seen[0][2]
    assert columns_of(engine) == known
