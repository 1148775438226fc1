"""A frozen look at the database, and its dump.

PostgreSQL: one read-only transaction whose snapshot is exported, so that pg_dump sees exactly what is read here.
SQLite: a copy by the online backup, taken in one step while others write; then everything is read from the copy.
"""

from __future__ import annotations

import gzip
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, create_engine, inspect, select, text

from storage_core import postgres_programs
from storage_core.backup_errors import DatabaseDamaged
from storage_core.backup_manifest import Content
from storage_core.files import disk_problems, fsync_file
from storage_core.models import Backtest, BarFile
from storage_core.object_streams import PIECE
from storage_core.postgres_programs import PG_DUMP

SQLITE, POSTGRESQL = "sqlite", "postgresql"
Check = Callable[[], None]
ROWS_AT_ONCE = 500


class Snapshot(ABC):
    """The database as it was at one instant; `connection` reads nothing newer."""

    kind: str

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @abstractmethod
    def dump(self, path: Path, *, check: Check) -> str:
        """Write the dump, packed and flushed, to `path`; returns the program and version that made it.

        `check` is called now and then and may raise to stop it. Raises BackupError and DiskProblem.
        """

    def results(self) -> Iterator[tuple[UUID, str, dict[str, Any] | None]]:
        """Of every row that names one: its id, the place of its result and what is noted of the files there."""
        query = (
            select(Backtest.task_id, Backtest.parquet_path, Backtest.metadata_["files"])
            .where(Backtest.parquet_path.is_not(None))
            .execution_options(yield_per=ROWS_AT_ONCE)
        )
        yield from (tuple(row) for row in self.connection.execute(query))

    def bars(self) -> list[tuple[str, str, Content]]:
        """With results in S3: symbol, timeframe and content of the bars that count there."""
        if not inspect(self.connection).has_table(BarFile.__tablename__):
            return []  # a schema from before there were any
        rows = self.connection.execute(select(BarFile.symbol, BarFile.timeframe, BarFile.sha256, BarFile.bytes))
        return [(symbol, timeframe, Content(sha256, size)) for symbol, timeframe, sha256, size in rows]


@contextmanager
def snapshot(engine: Engine, work: Path, *, check: Check = lambda: None) -> Iterator[Snapshot]:
    """Freeze what the database holds now; `work` is a folder for the copy. Raises BackupError and DiskProblem."""
    frozen = _postgresql(engine) if engine.dialect.name == "postgresql" else _sqlite(engine, work, check)
    with frozen as found:
        yield found


class _PostgresqlSnapshot(Snapshot):
    kind = POSTGRESQL

    def dump(self, path: Path, *, check: Check) -> str:
        """pg_dump, custom format, from the exported snapshot."""
        server = int(self.connection.scalar(text("SHOW server_version_num")) or 0) // 10_000
        program, version = postgres_programs.find(PG_DUMP, server)
        name = self.connection.scalar(text("SELECT pg_export_snapshot()"))
        url = self.connection.engine.url.render_as_string(hide_password=False)
        options = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={name}", f"--file={path}"]
        postgres_programs.run(program, options, database_url=url, check=check)
        with disk_problems(path):
            fsync_file(path)
        return f"{PG_DUMP} {version}"


class _SqliteSnapshot(Snapshot):
    kind = SQLITE

    def __init__(self, connection: Connection, copy: Path) -> None:
        super().__init__(connection)
        self._copy = copy

    def dump(self, path: Path, *, check: Check) -> str:
        """The copy, packed with gzip."""
        with disk_problems(path):
            with (
                self._copy.open("rb") as plain,
                path.open("wb") as raw,
                gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as packed,
            ):
                while piece := plain.read(PIECE):
                    check()
                    packed.write(piece)
            fsync_file(path)
        return f"sqlite {sqlite3.sqlite_version}"


@contextmanager
def _postgresql(engine: Engine) -> Iterator[Snapshot]:
    with engine.connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True) as connection:
        yield _PostgresqlSnapshot(connection)


@contextmanager
def _sqlite(engine: Engine, work: Path, check: Check) -> Iterator[Snapshot]:
    copy = work / "database.sqlite3"
    with disk_problems(copy):
        try:
            _copy_sqlite(Path(str(engine.url.database)), copy)
        except sqlite3.DatabaseError as error:
            raise _sqlite_problem(error, copy) from error
    check()
    reader = create_engine(f"sqlite:///{copy}")
    try:
        with reader.connect() as connection:
            said = connection.exec_driver_sql("PRAGMA integrity_check(3)").scalars().all()
            if said != ["ok"]:
                raise DatabaseDamaged("; ".join(map(str, said)))
            yield _SqliteSnapshot(connection, copy)
    finally:
        reader.dispose()


def _copy_sqlite(source: Path, copy: Path) -> None:
    """One step, not many: between steps a database that is written to would make it begin again and again."""
    with (
        closing(sqlite3.connect(f"{source.as_uri()}?mode=rw", uri=True)) as original,
        closing(sqlite3.connect(copy)) as target,
    ):
        original.backup(target)
        target.execute("PRAGMA journal_mode = DELETE").close()  # one file that is complete by itself


def _sqlite_problem(error: sqlite3.DatabaseError, copy: Path) -> Exception:
    """A full disk is no fault of the database."""
    if isinstance(error, sqlite3.OperationalError):
        from storage_core.errors import DiskProblem

        return DiskProblem(copy, str(error))
    return DatabaseDamaged(str(error))
