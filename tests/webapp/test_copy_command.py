"""`flask copy-database`: what it says and how it ends."""

import json
from pathlib import Path

from storage_core.db import make_engine, session_scope
from storage_core.models import User
from tests.storage_core.examples import queued


def test_a_copy_is_reported_and_can_be_used(app, engine, users, tmp_path: Path):
    queued(engine)
    target = f"sqlite:///{tmp_path}/copy.sqlite3"
    answer = app.test_cli_runner().invoke(args=["copy-database", "--to", target])
    assert answer.exit_code == 0, answer.output
    assert "backtest_results                1" in answer.output
    assert "Set DATABASE_URL to the new address" in answer.output
    copy = make_engine(target)
    with session_scope(copy) as session:
        assert {user.name for user in session.query(User)} == set(users)
    copy.dispose()


def test_the_address_may_stand_in_the_environment(app, users, tmp_path: Path):
    answer = app.test_cli_runner().invoke(
        args=["copy-database", "--json"], env={"TARGET_DATABASE_URL": f"sqlite:///{tmp_path}/copy.sqlite3"}
    )
    assert json.loads(answer.stdout)["tables"]["users"] == len(users)


def test_a_refusal_is_a_sentence(app, engine, settings):
    answer = app.test_cli_runner().invoke(args=["copy-database", "--to", settings.database_url])
    assert answer.exit_code == 1
    assert answer.output.strip() == "Error: source and target are the same database"
