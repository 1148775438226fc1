"""Fixtures that every part shares: databases with the newest schema, and settings that point to them.

`database_url`, `engine` and `settings` run a test twice, on SQLite and on PostgreSQL. A test that needs only one says
`@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)`.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from storage_core.db import make_engine
from storage_core.migrate import upgrade
from storage_core.settings import Settings
from tests.databases import empty_tables, fresh_postgresql_database, migrated_sqlite, missing, postgresql_server

PATIENCE_MS = 30_000  # for what a page should show: as long as for what a person does, as machines may be busy
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server."""
    with postgresql_server() as url:
        yield url


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: str) -> Iterator[str]:
    """A database of its own for this test session, with the newest schema."""
    with fresh_postgresql_database(postgres_server) as url:
        upgrade(url)
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the newest schema, to be copied."""
    return migrated_sqlite(tmp_path_factory.mktemp("sqlite") / "template.sqlite3")


@pytest.fixture(scope="session")
def postgres_janitor(migrated_postgres: str) -> Iterator[Engine]:
    """An engine that is only for cleaning up between the tests."""
    engine = make_engine(migrated_postgres)
    yield engine
    engine.dispose()


@pytest.fixture
def postgres_url(migrated_postgres: str, postgres_janitor: Engine) -> str:
    """The PostgreSQL database, emptied."""
    empty_tables(postgres_janitor)
    return migrated_postgres


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A SQLite file of the test's own."""
    path = tmp_path / "coin-hts.sqlite3"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database with the newest schema: the test runs on SQLite and on PostgreSQL."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine of `database_url`."""
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings with `database_url` and everything else in `tmp_path`."""
    return Settings(data_dir=tmp_path, database_url=database_url, secret_key="only for tests, not a secret")


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """How pytest-playwright starts the browser: Debian's Chromium, or the Chrome that is installed."""
    path = os.environ.get("TEST_BROWSER") or next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        missing(f"the browser tests need one of {', '.join(BROWSERS)}, or TEST_BROWSER with its path")
    from playwright.sync_api import expect

    expect.set_options(timeout=PATIENCE_MS)
    quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    return {
        "executable_path": path,
        "args": [*quiet, *as_root, "--disable-component-update", "--disable-sync"],
    }
