"""Every row of one database into another, empty one: from SQLite to PostgreSQL when a laboratory has grown, or back.

The target is filled in one transaction and compared, row by row, before it is committed: it holds everything or
nothing. Files of results and bars are not touched; both databases speak of the same ones.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine, String, Table, func, select
from sqlalchemy.exc import StatementError

from storage_core import migrate
from storage_core.db import Base, make_engine, utc_now
from storage_core.errors import StorageError
from storage_core.models import Process
from storage_core.processes import ALIVE_FOR

ROWS_AT_A_TIME = 1_000
OnTable = Callable[[str, int, int], None]


class CopyRefused(StorageError):
    """A database is not copied, for the reason that it says."""

    permanent = True


def copy_database(source_url: str, target_url: str, on_table: OnTable | None = None) -> dict[str, int]:
    """Copy all rows of `source_url` into `target_url`; how many each table had.

    The target gets the newest schema first. `on_table(name, tables done, tables)` hears of each table. Raises
    CopyRefused: the source has an old schema or a process that works with it (also one that began meanwhile), the
    target holds rows, or does not take one.
    """
    source, target = make_engine(source_url), make_engine(target_url)

    def before(name: str, done: int, of: int) -> None:
        _check_that_nothing_began(source)
        if on_table is not None:
            on_table(name, done, of)

    try:
        if source.url == target.url:
            raise CopyRefused("source and target are the same database")
        if not migrate.is_current(source):
            raise CopyRefused("the source does not have the newest schema; flask db upgrade gives it that")
        migrate.upgrade(target_url)
        with source.connect() as reading, target.begin() as writing:
            _freeze(reading)
            _check_that_nothing_runs(reading)
            _keep_others_out(writing)
            _check_that_nothing_is_there(writing)
            counts = _copy_tables(reading, writing, before)
            _check_that_nothing_began(source)
            return counts
    finally:
        source.dispose()
        target.dispose()


def _freeze(reading: Connection) -> None:
    """What is read is what there was at this moment."""
    if reading.dialect.name == "sqlite":
        reading.exec_driver_sql("BEGIN")  # the driver begins by itself only to write
    else:
        reading.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def _check_that_nothing_runs(reading: Connection) -> None:
    alive = select(Process.name).where(Process.seen_at > utc_now() - ALIVE_FOR).order_by(Process.name)
    if name := reading.scalar(alive):
        raise CopyRefused(f"{name} works with the source; stop the product, and wait {ALIVE_FOR.seconds} s if it died")


def _check_that_nothing_began(source: Engine) -> None:
    """What a process has written since the source was frozen is not in the target."""
    with source.connect() as now:
        _check_that_nothing_runs(now)


def _keep_others_out(writing: Connection) -> None:
    """Whoever wants to write into the target waits; another copy then finds rows."""
    if writing.dialect.name == "sqlite":
        writing.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        names = ", ".join(table.name for table in Base.metadata.sorted_tables)
        writing.exec_driver_sql(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")


def _check_that_nothing_is_there(writing: Connection) -> None:
    for table in Base.metadata.sorted_tables:
        if writing.execute(select(table).limit(1)).first() is not None:
            raise CopyRefused(f"the target has rows in {table.name}; it must be empty")


def _copy_tables(reading: Connection, writing: Connection, on_table: OnTable) -> dict[str, int]:
    tables = Base.metadata.sorted_tables
    counts = {}
    for done, table in enumerate(tables):
        on_table(table.name, done, len(tables))
        try:
            counts[table.name] = _copy(reading, writing, table)
            _compare(reading, writing, table)
        except (StatementError, ValueError) as error:  # a value that no type reads, or one that the target refuses
            why = str(getattr(error, "orig", None) or error).partition("\n")[0]
            raise CopyRefused(f"the rows of {table.name} cannot be copied: {why}") from error
    return counts


def _copy(reading: Connection, writing: Connection, table: Table) -> int:
    count = 0
    for rows in _rows(reading, table).partitions(ROWS_AT_A_TIME):
        writing.execute(table.insert(), [dict(row._mapping) for row in rows])
        count += len(rows)
    number = table.primary_key.columns[0]
    if count and writing.dialect.name == "postgresql" and number is table.autoincrement_column:
        # The next row that says no number must not get one that is taken.
        sequence = func.pg_get_serial_sequence(table.name, number.name)
        writing.execute(select(func.setval(sequence, select(func.max(number)).scalar_subquery())))
    return count


def _compare(reading: Connection, writing: Connection, table: Table) -> None:
    with _rows(reading, table) as before, _rows(writing, table) as after:
        for was, now in zip_longest(before, after):
            if was is None or now is None:
                raise CopyRefused(f"{table.name} has one row more or less than it had: {_key(table, was or now)}")
            if tuple(was) != tuple(now) and not _alike(list(was), list(now)):
                columns = zip(table.columns, was, now, strict=True)
                unlike = next(column.name for column, one, other in columns if not _alike(one, other))
                raise CopyRefused(f"the row {_key(table, was)} of {table.name} came out unlike it was: {unlike}")


def _alike(was: Any, now: Any) -> bool:
    """Equal, as a JSON document is that PostgreSQL has kept: there 1e23 is a whole number, with all its digits."""
    if isinstance(was, dict) and isinstance(now, dict):
        return was.keys() == now.keys() and all(_alike(was[name], now[name]) for name in was)
    if isinstance(was, list) and isinstance(now, list):
        return len(was) == len(now) and all(map(_alike, was, now))
    if {type(was), type(now)} == {int, float}:
        return float(was) == float(now)
    return bool(was == now)


def _key(table: Table, row: Any) -> str:
    return " ".join(str(row._mapping[column.name]) for column in table.primary_key)


def _rows(connection: Connection, table: Table) -> CursorResult[Any]:
    """All rows in the order of the primary key, whatever language the database was made for."""
    bytewise = connection.dialect.name == "postgresql"
    key = [
        column.collate("C") if bytewise and isinstance(column.type, String) else column for column in table.primary_key
    ]
    return connection.execute(select(table).order_by(*key).execution_options(yield_per=ROWS_AT_A_TIME))
