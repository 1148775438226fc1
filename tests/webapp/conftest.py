"""The application on a SQLite file of its own, and people who use it."""

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import FileSystemBytecodeCache
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page as Tab
from sqlalchemy import Engine
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from storage_core.accounts import create_user, set_password
from storage_core.bar_store import BarStore
from storage_core.db import make_engine, session_scope
from storage_core.models import User
from storage_core.settings import Settings
from tests.webapp import results
from tests.webapp.page import Page, read
from tests.webapp.things import ROLES, Things
from webapp import create_app, create_console
from webapp.extensions import db, limiter

PASSWORD = "correct horse battery"
DROPPED = ("htmx:afterRequest", "htmx:sendAbort")
"""What htmx notes when app.js drops the answer to a fragment that is gone; the browser notes refused forms (422)."""


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """The pages run on SQLite; what differs between databases is tested where the SQL is."""
    return sqlite_url


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """Each template is compiled once for all tests."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def app(settings: Settings, compiled_templates: FileSystemBytecodeCache) -> Iterator[Flask]:
    """The application, with nothing behind its queue."""
    app = create_app(settings)
    app.testing = True
    app.jinja_env.bytecode_cache = compiled_templates
    yield app
    with app.app_context():
        limiter.reset()
    _close(app)


@pytest.fixture
def console(settings: Settings) -> Iterator[Flask]:
    """What the `flask` command gives to a command of ours."""
    app = create_console(settings)
    app.testing = True
    yield app
    _close(app)


def _close(app: Flask) -> None:
    with app.app_context():
        db.engine.dispose()
    if "broker" in app.extensions:
        app.extensions["broker"].close()


@pytest.fixture
def users(engine: Engine) -> dict[str, int]:
    """ada is an admin, tom a trader, vera a viewer."""
    made = {}
    with session_scope(engine) as session:
        for name, role, zone in (("ada", "admin", "Asia/Seoul"), ("tom", "trader", "UTC"), ("vera", "viewer", "UTC")):
            user = User(name=name, role=role, timezone=zone, password_hash="")
            session.add(user)
            session.flush()
            user.password_hash = _hash(session, user)
            made[name] = user.id
    return made


_HASHES: dict[str, str] = {}


def _hash(session: Any, user: User) -> str:
    """Hashing takes its time on purpose; once is enough for all tests."""
    if not _HASHES:
        set_password(session, user, PASSWORD)
        user.sessions = 0  # a new password has ended all sessions
        _HASHES["hash"] = user.password_hash
    return _HASHES["hash"]


class Browser:
    """A client that carries the CSRF token and checks every HTML answer."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.client: FlaskClient = app.test_client()

    def log_in(self, user_id: int) -> "Browser":
        with self.client.session_transaction() as session:
            session["_user_id"] = str(user_id)
            session["_fresh"] = True
        return self

    def token(self) -> str:
        """The CSRF token that every page carries."""
        html = self.client.get("/backtests" if self.logged_in else "/login").get_data(as_text=True)
        return re.search(r'name="csrf-token" content="([^"]+)"', html)[1]

    @property
    def logged_in(self) -> bool:
        with self.client.session_transaction() as session:
            return "_user_id" in session

    def get(self, address: str, *, status: int = 200, htmx: bool = False, **more: Any) -> Page:
        headers = {**more.pop("headers", {}), **({"HX-Request": "true"} if htmx else {})}
        response = self.client.get(address, headers=headers, **more)
        assert response.status_code == status, response.get_data(as_text=True)[:2000]
        return read(response, self.app)

    def post(self, address: str, data: Any = None, *, htmx: bool = False) -> TestResponse:
        headers = {"X-CSRFToken": self.token(), **({"HX-Request": "true"} if htmx else {})}
        response = self.client.post(address, data=data or {}, headers=headers)
        if response.mimetype == "text/html" and response.data and response.status_code != 303:
            read(response, self.app)
        return response

    def json(self, address: str, body: Any = None, *, method: str = "GET") -> TestResponse:
        headers = {"X-CSRFToken": self.token()} if method != "GET" else {}
        return self.client.open(address, method=method, json=body, headers=headers)


@pytest.fixture
def visitor(app: Flask) -> Browser:
    """Somebody who is not logged in."""
    return Browser(app)


@pytest.fixture
def admin(app: Flask, users: dict[str, int]) -> Browser:
    """ada, in Seoul."""
    return Browser(app).log_in(users["ada"])


@pytest.fixture
def trader(app: Flask, users: dict[str, int]) -> Browser:
    """tom."""
    return Browser(app).log_in(users["tom"])


@pytest.fixture
def viewer(app: Flask, users: dict[str, int]) -> Browser:
    """vera, who may only look."""
    return Browser(app).log_in(users["vera"])


@pytest.fixture
def bars(settings: Settings) -> BarStore:
    """500 hours of KRW-BTC from 2024-01-01, and 40 days of KRW-ETH."""
    store = BarStore(settings.bars_dir)
    store.merge("KRW-BTC", "1h", results.bars(500))
    store.merge("KRW-ETH", "1d", results.bars(40, step=24 * results.HOUR))
    return store


@pytest.fixture
def completed(engine: Engine, settings: Settings, users: dict[str, int]) -> Callable[..., str]:
    """Makes a finished backtest of ada's; gives its address."""

    def make(**changes: Any) -> str:
        changes.setdefault("owner_id", users["ada"])
        return f"/backtests/{results.complete(engine, settings, **changes)}"

    return make


# One application for tests that only ask it, again and again: a module's own.


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
        rows = [create_user(session, name=name, role=role) for name, role in ROLES.items()]
        return {row.name: row.id for row in rows}


@pytest.fixture(scope="module")
def things(shared_engine: Engine, shared_settings: Settings) -> Things:
    return Things(shared_engine, shared_settings)


@pytest.fixture
def address(app) -> Iterator[str]:
    """The application on a port."""
    app.testing = False
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def page(browser: Chromium, address: str, users) -> Iterator[Tab]:
    """ada, logged in, whose browser must not complain."""
    with logged_in(browser, address, viewport={"width": 1440, "height": 900}) as page:
        yield page


@pytest.fixture
def phone(browser: Chromium, address: str, users) -> Iterator[Tab]:
    """ada, logged in on a telephone: fingers, no mouse."""
    screen = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
    with logged_in(browser, address, **screen) as page:
        yield page


@contextmanager
def logged_in(browser: Chromium, address: str, **screen: Any) -> Iterator[Tab]:
    """A page that must not complain."""
    context = browser.new_context(base_url=address, color_scheme="light", **screen)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto("/login")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{address}/")
    yield page
    context.close()
    assert [text for text in complaints if not text.startswith(DROPPED) and "status of 422" not in text] == []
