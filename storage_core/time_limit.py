"""A query that may take only so long: the database stops it when its time is up."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Row, Select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

_STEPS = 1_000  # of SQLite's machine between two looks at the clock: some 20 microseconds


def rows_in_time(session: Session, query: Select[Any], *, milliseconds: int) -> Sequence[Row[Any]] | None:
    """What `query` finds, or None when its time is up. The session goes on as if it had not been asked."""
    on_postgres = session.get_bind().dialect.name == "postgresql"
    try:
        with (_on_postgres if on_postgres else _on_sqlite)(session, milliseconds):
            return session.execute(query).all()
    except OperationalError as error:
        if not _is_up(error.orig):
            raise
        return None


@contextmanager
def _on_postgres(session: Session, milliseconds: int) -> Iterator[None]:
    """The savepoint takes the limit, or the error, back with it."""
    savepoint = session.connection().begin_nested()
    try:
        session.execute(text(f"SET LOCAL statement_timeout = {milliseconds}"))
        yield
    finally:
        savepoint.rollback()


@contextmanager
def _on_sqlite(session: Session, milliseconds: int) -> Iterator[None]:
    connection: Any = session.connection().connection.driver_connection
    end = time.thread_time() + milliseconds / 1000  # what other processes take does not make it a long walk
    connection.set_progress_handler(lambda: time.thread_time() > end, _STEPS)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)


def _is_up(error: Any) -> bool:
    postgres, sqlite = getattr(error, "sqlstate", None), getattr(error, "sqlite_errorname", None)
    return postgres == "57014" or sqlite == "SQLITE_INTERRUPT"  # 57014: query_canceled
