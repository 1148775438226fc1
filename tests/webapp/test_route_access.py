"""Every route asks who is there: anonymous, a stranger, a viewer, the owner and an admin get what the table says.

A route without a line in tests/webapp/access_table.py fails here; that file says how to write one.
"""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import FileSystemBytecodeCache
from sqlalchemy import Engine

from storage_core import accounts, api_tokens
from storage_core.backtest_keeping import delete
from storage_core.db import make_engine, session_scope, utc_now
from storage_core.models import SavedView, Schedule, User
from storage_core.settings import Settings
from tests.webapp import results
from tests.webapp.access_table import PEOPLE, TABLE, Line
from webapp import create_app
from webapp.extensions import db

ROLES = {"stranger": "trader", "viewer": "viewer", "owner": "trader", "admin": "admin"}
API = "/api/v1/"
FILL = {"part": "range", "name": "sma_cross", "filename": "css/app.css"}


class Things:
    """Makes what an address names, each in the name of its owner."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine, self.settings = engine, settings
        self._completed: dict[int, UUID] = {}

    def make(self, kind: str, owner_id: int, *, fresh: bool) -> object:
        """Its number. What is only looked at is made once."""
        if kind == "completed":
            if fresh or owner_id not in self._completed:
                self._completed[owner_id] = results.complete(
                    self.engine, self.settings, owner_id=owner_id, count=120, trades=5
                )
            return self._completed[owner_id]
        return getattr(self, kind)(owner_id)

    def queued(self, owner_id: int) -> UUID:
        return results.queue(self.engine, owner_id=owner_id)

    def deleted(self, owner_id: int) -> UUID:
        task_id = results.complete(self.engine, self.settings, owner_id=owner_id, count=120, trades=5)
        with session_scope(self.engine) as session:
            delete(session, task_id, by="test")
        return task_id

    def token(self, owner_id: int) -> int:
        with session_scope(self.engine) as session:
            return api_tokens.create(session, owner_id=owner_id, name="x", scope="read")[0].id

    def view(self, owner_id: int) -> int:
        return self._row(SavedView(owner_id=owner_id, name=uuid4().hex, query=""))

    def schedule(self, owner_id: int) -> int:
        tonight = utc_now() + timedelta(hours=3)
        row = Schedule(owner_id=owner_id, name="x", spec=results.spec(), every="day", next_run_at=tonight)
        return self._row(row)

    def user(self, owner_id: int) -> int:
        """An account that nobody here is logged in to."""
        return self._row(User(name=f"u{uuid4().hex[:8]}", password_hash="x"))

    def _row(self, row: SavedView | Schedule | User) -> int:
        with session_scope(self.engine) as session:
            session.add(row)
            session.flush()
            return row.id


@pytest.fixture(scope="module")
def shared_settings(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """One database for the whole table."""
    folder = tmp_path_factory.mktemp("access")
    shutil.copyfile(sqlite_template, folder / "db.sqlite3")
    secret = "only for tests, not a secret"
    return Settings(data_dir=folder, database_url=f"sqlite:///{folder}/db.sqlite3", secret_key=secret)


@pytest.fixture(scope="module")
def shared_engine(shared_settings: Settings) -> Iterator[Engine]:
    engine = make_engine(shared_settings.database_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def shared_app(shared_settings: Settings, compiled_templates: FileSystemBytecodeCache) -> Iterator[Flask]:
    app = create_app(shared_settings)
    app.testing = True
    app.jinja_env.bytecode_cache = compiled_templates
    yield app
    with app.app_context():
        db.engine.dispose()
    if "broker" in app.extensions:
        app.extensions["broker"].close()


@pytest.fixture(scope="module")
def ids(shared_engine: Engine) -> dict[str, int]:
    """The people of the table."""
    with session_scope(shared_engine) as session:
        rows = [accounts.create_user(session, name=name, role=role) for name, role in ROLES.items()]
        return {row.name: row.id for row in rows}


@pytest.fixture(scope="module")
def things(shared_engine: Engine, shared_settings: Settings) -> Things:
    return Things(shared_engine, shared_settings)


def client_of(app: Flask, who: str, engine: Engine, ids: dict[str, int]) -> FlaskClient:
    """A fresh browser, logged in as this person."""
    client = app.test_client()
    if who != "anonymous":
        with session_scope(engine) as session:
            count = session.get_one(User, ids[who]).sessions
        with client.session_transaction() as session:
            session["_user_id"] = f"{ids[who]}.{count}"
    return client


def address_of(app: Flask, rule: str, line: Line, identity: object) -> str:
    """The address with what the line names in it; ids of other things are those of nothing."""
    found = next(one for one in app.url_map.iter_rules() if one.rule == rule)
    values = {}
    for name in found.arguments:
        if name in FILL:
            values[name] = FILL[name]
        elif line.of:
            values[name] = identity
        else:
            values[name] = UUID(int=7) if name == "task_id" else 7
    path = app.url_map.bind("localhost").build(found.endpoint, values)
    return f"{path}?{line.query.replace('{id}', str(identity))}" if line.query else path


def test_every_route_has_a_line(app: Flask):
    routes = {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        if not rule.rule.startswith(API)
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    missing, gone = sorted(routes - set(TABLE)), sorted(set(TABLE) - routes)
    assert (missing, gone) == ([], []), "tests/webapp/access_table.py says how to write a line"


@pytest.mark.parametrize("route", TABLE)
def test_who_gets_what(route, shared_app, shared_engine, shared_settings, ids, things):
    method, _, rule = route.partition(" ")
    line = TABLE[route]
    for who in PEOPLE:
        owner = ids["viewer"] if who == "viewer" else ids["owner"]
        identity = things.make(line.of, owner, fresh=method != "GET") if line.of else None
        address = address_of(shared_app, rule, line, identity)
        form = {name: value.replace("{id}", str(identity)) for name, value in line.form.items()}
        client = client_of(shared_app, who, shared_engine, ids)
        if method != "GET":
            page = client.get("/account" if who != "anonymous" else "/login").get_data(as_text=True)
            form["csrf_token"] = page.split('name="csrf-token" content="')[1].split('"')[0]
        with client.open(address, method=method, data=form or None) as answer:
            said = answer.get_data(as_text=True)[:300] if answer.mimetype != "application/zip" else ""
            assert answer.status_code == line.answers[who], (who, address, answer.location, said)
        if who == "anonymous" and line.kind != "open" and answer.status_code == 303:
            assert answer.location.startswith("/login"), address


@pytest.mark.parametrize("route", [route for route in TABLE if not route.startswith("GET")])
def test_every_change_wants_the_csrf_token(route, shared_app, shared_engine, ids):
    method, _, rule = route.partition(" ")
    client = client_of(shared_app, "admin", shared_engine, ids)
    answer = client.open(address_of(shared_app, rule, Line("", {}), None), method=method, data={"name": "x"})
    assert answer.status_code == 400
    assert "too old or came from elsewhere" in answer.get_data(as_text=True)
