"""`flask copy-database`: what it says and how it ends."""

import json
from pathlib import Path

import pytest

from storage_core.db import make_engine, session_scope
from storage_core.models import User
from tests.storage_core.examples import queued


def test_a_copy_is_reported_and_can_be_used(console, engine, users, tmp_path: Path):
    queued(engine)
    target = f"sqlite:///{tmp_path}/copy.sqlite3"
    answer = console.test_cli_runner().invoke(args=["copy-database", "--to", target])
    assert answer.exit_code == 0, answer.output
    assert "backtest_results                1" in answer.output
    assert "Set DATABASE_URL to the new address" in answer.output
    copy = make_engine(target)
    with session_scope(copy) as session:
        assert {user.name for user in session.query(User)} == set(users)
    copy.dispose()


def test_the_address_may_stand_in_the_environment(console, users, tmp_path: Path):
    answer = console.test_cli_runner().invoke(
        args=["copy-database", "--json"], env={"TARGET_DATABASE_URL": f"sqlite:///{tmp_path}/copy.sqlite3"}
    )
    assert json.loads(answer.stdout)["tables"]["users"] == len(users)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("nonsense", "not an address (not shown: it may hold a password)"),
        ("mysql://coin@localhost/coin", "of the kind 'mysql'"),
        ("sqlite://", "a SQLite file, as several processes share it"),
    ],
)
def test_an_address_of_another_kind_is_wrong_use(console, address, says):
    answer = console.test_cli_runner().invoke(args=["copy-database", "--to", address])
    assert answer.exit_code == 2
    assert says in answer.output


def test_the_short_name_of_postgresql_is_one_too(console):
    answer = console.test_cli_runner().invoke(args=["copy-database", "--to", "postgres://nobody@127.0.0.1:1/coin"])
    assert answer.exit_code == 1
    assert "connection refused" in answer.output.lower()


def test_a_refusal_is_a_sentence(console, engine, settings):
    answer = console.test_cli_runner().invoke(args=["copy-database", "--to", settings.database_url])
    assert answer.exit_code == 1
    assert answer.output.strip() == "Error: source and target are the same database"
