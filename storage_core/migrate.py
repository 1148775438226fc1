"""Bringing a database to the newest schema, with or without Flask, from any number of processes at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text

from storage_core.files import file_lock

MIGRATIONS_DIR = Path(__file__).parent.parent / "migrations"
_ADVISORY_LOCK = 0x636F696E2D687473  # "coin-hts"


def upgrade(database_url: str, *, revision: str = "head") -> None:
    """Migrate the database up to `revision`; a second process waits for the first and then finds nothing to do."""
    from alembic import command

    command.upgrade(_config(database_url), revision)


def downgrade(database_url: str, *, revision: str = "base") -> None:
    """Migrate the database down to `revision`. Tables that it does not know are dropped with their rows."""
    from alembic import command

    command.downgrade(_config(database_url), revision)


def is_current(engine: Engine) -> bool:
    """Whether the database has the newest schema."""
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    newest = ScriptDirectory(str(MIGRATIONS_DIR)).get_current_head()
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() == newest


def has_newest_schema(engine: Engine) -> bool:
    """What `is_current` says, without loading Alembic: cheap enough to ask every few seconds."""
    with engine.connect() as connection:
        if not connection.dialect.has_table(connection, "alembic_version"):
            return False
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    return found == [_newest_revision()]


@cache
def _newest_revision() -> str:
    """The revision of the last file: their names begin with numbers that count up."""
    newest = max((MIGRATIONS_DIR / "versions").glob("[0-9]*.py"))
    found: list[str] = re.findall(r'^revision = "(\w+)"', newest.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return found[0]


@contextmanager
def migrating(engine: Engine) -> Iterator[Connection]:
    """A connection in one transaction that no other migration of this database shares; env.py runs in it."""
    sqlite = engine.dialect.name == "sqlite"
    with _sqlite_lock(engine) if sqlite else nullcontext(), engine.connect() as connection:
        if sqlite:
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")  # tables are copied to be altered
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver begins by itself only for rows, not for tables
        else:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        yield connection
        connection.commit()


@contextmanager
def _sqlite_lock(engine: Engine) -> Iterator[None]:
    database = Path(str(engine.url.database))
    with file_lock(database.with_name(f"{database.name}.migrating")):
        yield


def _config(database_url: str) -> Any:
    from alembic.config import Config

    config = Config(MIGRATIONS_DIR / "alembic.ini")
    config.set_main_option("script_location", str(MIGRATIONS_DIR).replace("%", "%%"))
    config.attributes["database_url"] = database_url
    return config
