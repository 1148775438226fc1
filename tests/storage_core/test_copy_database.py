"""Every row from SQLite to PostgreSQL and back again."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, text
from sqlalchemy import column as plain_column
from sqlalchemy import table as plain_table
from sqlalchemy.exc import OperationalError

from storage_core import copy_database as module
from storage_core.copy_database import CopyRefused, copy_database
from storage_core.db import Base, make_engine, session_scope, utc_now
from storage_core.migrate import downgrade, upgrade
from storage_core.models import Alert, BacktestEvent, Job, Process, User
from storage_core.processes import ALIVE_FOR
from storage_core.settings import Settings
from tests.databases import fresh_postgresql_database
from tests.storage_core.installation import SQLITE, filled
from tests.storage_core.test_migration_rehearsal import fill

pytestmark = SQLITE


def all_rows(database_url: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table; JSON has no order of keys that all databases keep."""
    engine = make_engine(database_url)
    with engine.connect() as connection:
        found = {
            table.name: [row._asdict() for row in connection.execute(select(table))]
            for table in Base.metadata.sorted_tables
        }
    engine.dispose()
    keys = {table.name: [column.name for column in table.primary_key] for table in Base.metadata.sorted_tables}
    return {name: sorted(rows, key=lambda row: [str(row[key]) for key in keys[name]]) for name, rows in found.items()}


@pytest.fixture
def elsewhere(postgres_server: str) -> Iterator[str]:
    """An empty PostgreSQL."""
    with fresh_postgresql_database(postgres_server) as url:
        yield url


@pytest.fixture
def everything(engine: Engine, settings: Settings) -> str:
    """A database in use, and two rows at least in each table: numbers at their limits, letters of other languages."""
    filled(engine, settings)
    with engine.connect() as connection:
        empty = [table.name for table in Base.metadata.sorted_tables if not connection.execute(select(table)).first()]
    for name in empty:
        fill(engine, name)
    with session_scope(engine) as session:
        session.execute(Process.__table__.update().values(seen_at=utc_now() - 2 * ALIVE_FOR))
    return settings.database_url


def test_every_row_of_every_table_goes_over_and_comes_back(everything: str, elsewhere: str, tmp_path: Path) -> None:
    was = all_rows(everything)
    assert all(was.values()), "a row in each table"
    counts = copy_database(everything, elsewhere)
    assert counts == {name: len(rows) for name, rows in was.items()}
    assert all_rows(elsewhere) == was
    back = f"sqlite:///{tmp_path}/back.sqlite3"
    assert copy_database(elsewhere, back) == counts
    assert all_rows(back) == was


def test_the_next_rows_get_numbers_of_their_own(everything: str, elsewhere: str) -> None:
    copy_database(everything, elsewhere)
    engine = make_engine(elsewhere)
    with session_scope(engine) as session:
        last = session.scalars(select(User.id).order_by(User.id.desc())).first()
        session.add(User(name="newcomer", role="viewer", password_hash="x"))
        session.flush()
        assert session.scalars(select(User.id).where(User.name == "newcomer")).one() == last + 1
    engine.dispose()


def test_many_rows_go_in_pieces(everything: str, elsewhere: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_AT_A_TIME", 2)
    heard: list[tuple[str, int, int]] = []
    copy_database(everything, elsewhere, lambda *told: heard.append(told))
    assert all_rows(elsewhere) == all_rows(everything)
    assert [name for name, _, _ in heard] == [table.name for table in Base.metadata.sorted_tables]


def refusal(source: str, target: str) -> str:
    """Why it is not copied; the source is as it was."""
    before = all_rows(source)
    with pytest.raises(CopyRefused) as refused:
        copy_database(source, target)
    assert all_rows(source) == before
    return str(refused.value)


def test_nothing_is_written_over(everything: str, elsewhere: str) -> None:
    upgrade(elsewhere)
    engine = make_engine(elsewhere)
    with session_scope(engine) as session:
        session.add(User(name="who was here", role="admin", password_hash="x"))
    was = all_rows(elsewhere)
    assert "rows in users; it must be empty" in refusal(everything, elsewhere)
    assert all_rows(elsewhere) == was
    engine.dispose()
    assert "the same database" in refusal(everything, everything)


def test_a_product_that_runs_is_not_copied(everything: str, elsewhere: str, engine: Engine) -> None:
    with session_scope(engine) as session:
        session.execute(Process.__table__.update().values(seen_at=utc_now() - timedelta(seconds=5)))
    assert "works with the source; stop the product, and wait 30 s" in refusal(everything, elsewhere)


def beginning(engine: Engine) -> Callable[[str, int, int], None]:
    """A product that starts while the last table is copied."""

    def begins(name: str, done: int, of: int) -> None:
        if done == of - 1:
            with session_scope(engine) as session:
                session.execute(Process.__table__.update().values(seen_at=utc_now()))

    return begins


def test_a_product_that_starts_meanwhile_is_noticed(everything: str, elsewhere: str, engine: Engine) -> None:
    """What it writes would be missing in the target."""
    with pytest.raises(CopyRefused, match="works with the source"):
        copy_database(everything, elsewhere, beginning(engine))
    assert not any(all_rows(elsewhere).values())


def test_a_product_that_starts_meanwhile_is_noticed_on_the_way_back(
    everything: str, elsewhere: str, tmp_path: Path
) -> None:
    copy_database(everything, elsewhere)
    engine, back = make_engine(elsewhere), f"sqlite:///{tmp_path}/back.sqlite3"
    with pytest.raises(CopyRefused, match="works with the source"):
        copy_database(elsewhere, back, beginning(engine))
    assert not any(all_rows(back).values())
    engine.dispose()


def test_nobody_writes_into_the_target_meanwhile(everything: str, elsewhere: str) -> None:
    """Neither another copy nor a product that already runs with the new address: it waits, and finds all rows."""
    engine = make_engine(elsewhere)
    waited: list[str] = []

    def write(name: str, done: int, of: int) -> None:
        with engine.connect() as connection:
            connection.exec_driver_sql("SET LOCAL lock_timeout = '10ms'")
            with pytest.raises(OperationalError, match="lock timeout"):
                connection.execute(insert(User).values(name="early", role="viewer", password_hash="x"))
        waited.append(name)

    counts = copy_database(everything, elsewhere, write)
    assert waited == list(counts)
    assert all_rows(elsewhere) == all_rows(everything)
    engine.dispose()


def test_numbers_beyond_all_digits_go_over(everything: str, elsewhere: str, engine: Engine, tmp_path: Path) -> None:
    """PostgreSQL keeps a number of a JSON document in decimal: 1e23 comes back as a whole number with all digits."""
    far = {"n": [1e23, 1.7976931348623157e308, -1e300, 2**70, 5e-324, 1e22, 0.1 + 0.2]}
    with session_scope(engine) as session:
        session.execute(Job.__table__.update().values(outcome=far))
    counts = copy_database(everything, elsewhere)
    assert copy_database(elsewhere, f"sqlite:///{tmp_path}/back.sqlite3") == counts
    for url in (elsewhere, f"sqlite:///{tmp_path}/back.sqlite3"):
        outcome = all_rows(url)["jobs"][0]["outcome"]
        assert [float(number) for number in outcome["n"]] == far["n"]


def test_an_old_schema_is_named(everything: str, elsewhere: str) -> None:
    downgrade(everything, revision="0006")
    with pytest.raises(CopyRefused, match="flask db upgrade"):
        copy_database(everything, elsewhere)


def test_what_the_target_does_not_take_leaves_nothing_there(everything: str, elsewhere: str, engine: Engine) -> None:
    """SQLite holds a NUL in a text; PostgreSQL cannot."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE users SET name = 'a' || char(0) || 'b' WHERE id = 1"))
    reason = refusal(everything, elsewhere)
    assert "the rows of users cannot be copied" in reason
    assert "NUL" in reason
    assert not any(all_rows(elsewhere).values())


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("detail", "{half", "Expecting property name"),
        ("last_at", "yesterday", "isoformat"),
        ("count", "many", "integer"),
    ],
)
def test_a_value_that_cannot_be_read_is_named(
    everything: str, elsewhere: str, engine: Engine, column: str, value: str, why: str
) -> None:
    with engine.begin() as connection:
        connection.execute(plain_table("alerts", plain_column(column)).update().values({column: value}))
    with pytest.raises(CopyRefused, match=f"the rows of alerts cannot be copied: .*{why}"):
        copy_database(everything, elsewhere)
    assert not any(all_rows(elsewhere).values())


def test_a_row_that_comes_out_unlike_it_was_is_found(
    everything: str, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = module._copy

    def wrong(reading: Any, writing: Any, table: Any) -> int:
        count = right(reading, writing, table)
        if table.name == "alerts":
            writing.execute(Alert.__table__.update().values(count=Alert.count + 1))
        return count

    monkeypatch.setattr(module, "_copy", wrong)
    assert "the row 1 of alerts came out unlike it was: count" in refusal(everything, elsewhere)
    assert not any(all_rows(elsewhere).values())


def test_a_lost_row_is_found(everything: str, elsewhere: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = module._copy

    def wrong(reading: Any, writing: Any, table: Any) -> int:
        count = right(reading, writing, table)
        if table.name == "backtest_events":
            last = select(BacktestEvent.id).order_by(BacktestEvent.id.desc()).limit(1).scalar_subquery()
            writing.execute(BacktestEvent.__table__.delete().where(BacktestEvent.id == last))
        return count

    monkeypatch.setattr(module, "_copy", wrong)
    assert "backtest_events has one row more or less than it had" in refusal(everything, elsewhere)


def test_names_sort_alike_on_both_sides(everything: str, elsewhere: str, engine: Engine) -> None:
    """A database may sort é beside e and capitals among small letters; rows are compared in another order."""
    with session_scope(engine) as session:
        for name in ("e", "E", "é", "z", "Z", "_", "-"):
            session.execute(
                insert(Process).values(
                    name=name, host="h", kind="worker", pid=1, version="", started_at=utc_now() - ALIVE_FOR,
                    seen_at=utc_now() - 2 * ALIVE_FOR,
                )
            )  # fmt: skip
        assert session.query(Job).count()
    assert copy_database(everything, elsewhere)["processes"] >= 7
