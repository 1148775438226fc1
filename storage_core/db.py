"""Engine, base class, portable column types and the session scope: everything between SQLAlchemy and a database.

PostgreSQL and SQLite behave alike here: each statement sees what is committed when it starts (on SQLite reads
run outside a transaction, and the first write of a transaction begins it with BEGIN IMMEDIATE), so a conditional
UPDATE is safe on both and a reader never blocks a writer.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, Engine, MetaData, Uuid, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import DeclarativeBase, Session, registry, sessionmaker
from sqlalchemy.types import TypeDecorator, TypeEngine

from storage_core.slow_queries import watch_queries

BUSY_TIMEOUT_SECONDS = 15.0

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Json(TypeDecorator[Any]):
    """A JSON document: JSONB on PostgreSQL, text on SQLite; None is NULL.

    Types of PostgreSQL are imported when such a database is used: they alone take 4 MB of memory.
    """

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            from sqlalchemy.dialects.postgresql import JSONB

            return dialect.type_descriptor(JSONB(none_as_null=True))
        return dialect.type_descriptor(JSON(none_as_null=True))

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        return JSON().coerce_compared_value(op, value)


JsonB = Json(none_as_null=True)


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: aware in, aware UTC out, on PostgreSQL (timestamptz) and on SQLite (naive text) alike."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"an instant needs a time zone, {value!r} has none")
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of all models. The type map sits in the registry, which Flask-SQLAlchemy's copy of the class keeps."""

    registry = registry(
        metadata=MetaData(naming_convention=NAMING),
        type_annotation_map={
            datetime: UtcDateTime(),
            uuid.UUID: Uuid(),
            dict[str, Any]: JsonB,
            list[str]: JsonB,
            list[float]: JsonB,
        },
    )


class SqliteConnection(sqlite3.Connection):
    """A SQLite connection with our pragmas, whoever makes the engine."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for pragma in ("journal_mode = WAL", "foreign_keys = ON", "synchronous = NORMAL"):
            self.execute(f"PRAGMA {pragma}").close()


def to_json(value: object) -> str:
    """Compact JSON; NaN and infinity are refused, as PostgreSQL would, so that both databases hold the same."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def engine_options(url: str) -> dict[str, Any]:
    """Keyword arguments of `create_engine` for `url`; also what Flask-SQLAlchemy takes as engine options."""
    # Values of a statement stay out of errors, and so out of logs: among them are hashes of passwords and tokens.
    options: dict[str, Any] = {"json_serializer": to_json, "pool_pre_ping": True, "hide_parameters": True}
    if make_url(url).get_backend_name() == "sqlite":
        options["connect_args"] = {
            "factory": SqliteConnection,
            "timeout": BUSY_TIMEOUT_SECONDS,
            "isolation_level": "IMMEDIATE",
        }
    else:
        options["connect_args"] = {"connect_timeout": 10, "application_name": "coin-hts"}
    return options


def make_engine(url: str) -> Engine:
    """An engine for `url` (as in `Settings.database_url`); the caller disposes of it."""
    engine = create_engine(url, **engine_options(url))
    watch_queries(engine)
    return engine


Sessions = sessionmaker(expire_on_commit=False)
"""Factory of sessions: `Sessions(bind=engine)`. Rows stay readable after the commit."""


@contextmanager
def session_scope(engine: Engine) -> Iterator[Session]:
    """One short transaction: commits when the block ends, rolls back when it raises."""
    with Sessions(bind=engine) as session, session.begin():
        yield session


def begin_to_write(session: Session) -> None:
    """Before a value is read that the new one depends on: from here on nobody else changes it on SQLite.

    There reads run outside a transaction, and FOR UPDATE, which does the same for rows of PostgreSQL, means nothing.
    """
    connection = session.connection()
    if connection.dialect.name == "sqlite" and not connection.connection.dbapi_connection.in_transaction:  # type: ignore[union-attr]
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def take_turns(session: Session, what: str) -> None:
    """Before rows are read that decide which rows to write: nobody else is at `what` until this transaction ends."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))"), {"what": f"coin-hts {what}"})
    else:
        begin_to_write(session)


def insert_into(session: Session, model: type[Base]) -> Any:
    """INSERT as the database of `session` has it: with `on_conflict_do_nothing` and `on_conflict_do_update`."""
    if session.get_bind().dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(model)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(model)


def utc_now() -> datetime:
    """This instant, aware, in UTC."""
    return datetime.now(UTC)
