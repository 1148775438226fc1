"""`flask up`, `flask setup-link`, `flask create-user`."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import click
import pytest
from sqlalchemy import select

from storage_core.accounts import verify_password
from storage_core.db import session_scope
from storage_core.models import AuditEntry, User
from tests.webapp.conftest import PASSWORD
from webapp.commands import COMMANDS, OF_LIBRARIES

ROOT = Path(__file__).parents[2]


def test_the_link_opens_the_set_up_page_until_there_is_an_account(app, visitor, engine):
    runner = app.test_cli_runner()
    answer = runner.invoke(args=["setup-link"])
    assert answer.exit_code == 0
    address = answer.output.strip()
    assert address.startswith("http://127.0.0.1:8000/setup?token=")
    assert "Create the first account" in visitor.get(address.removeprefix("http://127.0.0.1:8000")).text
    with session_scope(engine) as session:
        session.add(User(name="ada", password_hash="x"))
    answer = runner.invoke(args=["setup-link"])
    assert answer.exit_code == 1
    assert "exists already" in answer.output


def test_create_user_reads_the_password_from_standard_input(app, engine):
    answer = app.test_cli_runner().invoke(args=["create-user", "Vera", "--role", "viewer"], input=f"{PASSWORD}\n")
    assert (answer.exit_code, answer.output) == (0, "Created vera with the role viewer.\n")
    with session_scope(engine) as session:
        user = verify_password(session, "vera", PASSWORD)
        assert (user.role, user.timezone) == ("viewer", "UTC")


@pytest.mark.parametrize(
    ("arguments", "password", "words"),
    [
        (["create-user", "a b"], PASSWORD, "name is 'a b'"),
        (["create-user", "bob"], "short", "password is 5 characters long"),
        (["create-user", "bob", "--timezone", "Mars"], PASSWORD, "timezone is 'Mars'"),
        (["create-user", "bob", "--role", "king"], PASSWORD, "viewer"),
        (["create-user", "TOM"], PASSWORD, "name is 'tom'; allowed: a name that no other account has"),
    ],
)
def test_a_bad_account_is_refused(app, engine, users, arguments, password, words):
    answer = app.test_cli_runner().invoke(args=arguments, input=f"{password}\n")
    assert answer.exit_code != 0
    assert words in answer.output
    with session_scope(engine) as session:
        assert len(session.scalars(select(User)).all()) == len(users)


def test_a_lost_password_is_replaced_by_a_link_of_the_command_line(app, visitor, engine, users):
    runner = app.test_cli_runner()
    answer = runner.invoke(args=["reset-link", "TOM"])
    assert answer.exit_code == 0
    address = answer.output.strip().removeprefix("http://127.0.0.1:8000")
    assert "Welcome, tom" in visitor.get(address).text
    for nobody in ("nobody", "(local)"):
        assert "no active account" in runner.invoke(args=["reset-link", nobody]).output
    with session_scope(engine) as session:
        entry = session.scalars(select(AuditEntry)).one()
        assert (entry.action, entry.target) == ("user.link_made", "tom")
        assert entry.actor.startswith("console (")


def test_up_becomes_the_supervisor(app, monkeypatch):
    called = []
    monkeypatch.setattr(os, "execv", lambda *arguments: called.append(arguments))
    app.test_cli_runner().invoke(args=["up"])
    assert called == [(sys.executable, [sys.executable, "-m", "workers.supervisor"])]


FLASK = """
import sys
from flask.cli import cli
try:
    cli.main(sys.argv[1:], prog_name="flask")
except SystemExit as ended:
    assert ended.code == 0
heavy = {"alembic", "pydantic", "numba", "pandas", "webapp.pages", "webapp.api"}
print("loaded:", sorted(heavy & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("words", "said", "loads"),
    [
        (["--help"], [*COMMANDS, *OF_LIBRARIES, "routes", "shell"], []),
        (["bars", "list"], ["No bars are stored yet"], []),
        (["db", "heads"], ["(head)"], ["alembic"]),
        (["routes"], ["/backtests/<uuid:task_id>"], ["pydantic", "webapp.api", "webapp.pages"]),
    ],
    ids=["help", "bars", "db", "routes"],
)
def test_a_command_loads_what_it_needs_and_no_pages(tmp_path, sqlite_url, words, said, loads):
    env = {**os.environ, "DATA_DIR": str(tmp_path), "DATABASE_URL": sqlite_url}
    done = subprocess.run(
        [sys.executable, "-c", FLASK, *words], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told, _, loaded = done.stdout.rpartition("loaded: ")
    assert [word for word in said if word not in told] == []
    assert loaded.strip() == str(loads)


def test_the_description_of_the_api_needs_no_server(console, admin):
    answer = console.test_cli_runner().invoke(args=["openapi", "--indent", "0"])
    assert json.loads(answer.output) == admin.client.get("/api/v1/openapi.json").json


def test_a_wrong_setting_is_a_sentence_and_no_trace(monkeypatch, tmp_path):
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("RESULT_STORAGE_MODE", "odd")
    with pytest.raises(click.ClickException, match="RESULT_STORAGE_MODE is 'odd'; allowed: parquet-only, dual-write"):
        runpy.run_path(str(ROOT / "wsgi.py"))


def test_each_command_explains_itself(app):
    for name in ("up", "setup-link", "create-user"):
        assert app.test_cli_runner().invoke(args=[name, "--help"]).exit_code == 0


def test_every_command_loads_under_its_own_name(app):
    context = click.Context(app.cli)
    for name in COMMANDS:
        command = app.cli.get_command(context, name)
        assert command.name == name
        assert command.help, f"{name} has no help"
    assert set(COMMANDS) <= set(app.cli.list_commands(context))
    assert app.cli.get_command(context, "no-such-command") is None
