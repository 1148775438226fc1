"""Folders of legacy results to migrate in tests, and the questions that every test asks of them."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, select

from storage_core.db import session_scope
from storage_core.legacy_results import Options, Report, default_backup_dir, migrate
from storage_core.legacy_rollback import roll_back
from storage_core.models import Backtest
from storage_core.settings import Settings

SAMPLES = Path(__file__).parents[1] / "data" / "legacy"
SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "legacy"
BASIC = UUID("00000003-1e9a-4c7e-8a11-5eed00000003")
"""One of the samples, of the compact shape, in results/: the one that tests break."""
TIMES = ("dry_run", "seconds", "files_per_second")


def a_copy(folder: Path, source: Path = SAMPLES) -> Path:
    """A copy of a legacy folder that may be changed."""
    shutil.copytree(source, folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def only(folder: Path, data: bytes, task_id: UUID = BASIC) -> Path:
    """A legacy folder with this one file."""
    (folder / "results").mkdir(parents=True)
    (folder / "results" / f"{task_id}.json").write_bytes(data)
    return folder


def sample(change: Callable[[dict[str, Any]], object] = lambda document: None) -> bytes:
    """The basic sample, changed."""
    document = json.loads((SAMPLES / "results" / f"{BASIC}.json").read_bytes())
    change(document)
    return json.dumps(document, indent=2).encode()


def options(source: Path, **changes: Any) -> Options:
    """What a migration of `source` is asked."""
    return Options(**{"source": source, "backup_dir": default_backup_dir(source), **changes})


def run(settings: Settings, source: Path, **changes: Any) -> Report:
    """Migrate."""
    return migrate(settings, options(source, **changes))


def comparable(report: Report) -> dict[str, Any]:
    """A report without what differs between two runs."""
    return {name: value for name, value in report.as_dict().items() if name not in TIMES}


def files(folder: Path) -> dict[str, str]:
    """Path and sha256 of everything that is a result in a legacy folder."""
    found = [path for layout in ("tasks", "results") for path in (folder / layout).rglob("*.json")]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in found
        if path.name != "index.json"
    }


def rows(engine: Engine) -> dict[UUID, Backtest]:
    """All rows by id."""
    with session_scope(engine) as session:
        return {row.task_id: row for row in session.scalars(select(Backtest))}


def assert_comes_back(settings: Settings, originals: dict[str, str], target: Path, backups: Path | None) -> None:
    """Everything that was migrated is written again, byte for byte."""
    report = roll_back(settings, target, backup_dir=backups)
    assert report.failures == []
    assert files(target) == originals
