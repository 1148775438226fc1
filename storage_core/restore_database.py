"""Filling an empty database from the dump of a backup, and comparing what is in it then."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.engine import make_url

from storage_core import backup_counts, postgres_programs
from storage_core.backup_database import POSTGRESQL, SQLITE
from storage_core.backup_errors import RestoreDiffers, WrongDatabase
from storage_core.backup_manifest import DatabaseDump
from storage_core.backup_store import BackupStore
from storage_core.files import disk_problems, replacing
from storage_core.postgres_programs import PG_RESTORE

PACKED = ".database.dump"


def check_kind(kind: str, database_url: str) -> None:
    """Raises WrongDatabase when a dump of `kind` cannot go there."""
    target = make_url(database_url).get_backend_name()
    if target != kind:
        raise WrongDatabase(kind, target)


def public_address(database_url: str) -> str:
    """The address without its password."""
    return make_url(database_url).render_as_string(hide_password=True)


def what_is_in(database_url: str) -> str:
    """What a database holds already, in words; empty when it is empty or, for SQLite, does not exist."""
    url = make_url(database_url)
    if url.get_backend_name() == SQLITE:
        path = Path(str(url.database))
        return "the file exists" if path.exists() else ""
    with _connected(database_url) as connection:
        tables = inspect(connection).get_table_names()
    return f"it has {len(tables)} tables" if tables else ""


def fill(
    store: BackupStore,
    dump: DatabaseDump,
    database_url: str,
    folder: Path,
    *,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Fetch the dump, by way of `folder`, and fill the empty database from it, whole or not at all.

    Raises BackupDamaged, ProgramMissing, ProgramFailed and DiskProblem.
    """
    packed = folder / PACKED
    try:
        store.fetch(dump.content, packed)
        if dump.kind == POSTGRESQL:
            _fill_postgresql(dump, database_url, packed, check)
        else:
            _fill_sqlite(packed, Path(str(make_url(database_url).database)))
    finally:
        packed.unlink(missing_ok=True)


def compare(dump: DatabaseDump, database_url: str) -> None:
    """Compare the database with what was noted when it was dumped. Raises RestoreDiffers."""
    with _connected(database_url) as connection:
        found = list(_differences(dump, connection))
    if found:
        raise RestoreDiffers(found)


def _differences(dump: DatabaseDump, connection: Connection) -> Iterator[str]:
    if (revision := backup_counts.revision(connection)) != dump.revision:
        yield f"the schema has revision {revision}, not {dump.revision}"
    yield from backup_counts.differences(dump.tables, backup_counts.table_counts(connection), "rows")
    yield from backup_counts.differences(dump.samples, backup_counts.table_samples(connection), "sample")


def _fill_sqlite(packed: Path, database: Path) -> None:
    with disk_problems(database):
        database.parent.mkdir(parents=True, exist_ok=True)
    with replacing(database) as temporary, gzip.open(packed) as source, temporary.open("wb") as target:
        shutil.copyfileobj(source, target)


def _fill_postgresql(dump: DatabaseDump, database_url: str, packed: Path, check: Callable[[], None]) -> None:
    made_by = postgres_programs.major_of(dump.program.rpartition(" ")[2])
    program, _ = postgres_programs.find(PG_RESTORE, made_by)
    options = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]
    postgres_programs.run(program, options, database_url=database_url, check=check, last=str(packed))
    with _connected(database_url) as connection:
        connection.execute(text("ANALYZE"))  # a dump holds no statistics, and plans need them


@contextmanager
def _connected(database_url: str) -> Iterator[Connection]:
    engine = create_engine(make_url(database_url).set(drivername=_driver(database_url)), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _driver(database_url: str) -> str:
    name = make_url(database_url).get_backend_name()
    return "postgresql+psycopg" if name == POSTGRESQL else name
