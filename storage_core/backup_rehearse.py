"""Rehearsing a restore: into scratch, compared with what was backed up, every result verified there, scratch deleted.

The scratch database is a file, or on PostgreSQL a database of its own on the same server, `{name}_rehearsal`, for which
the account needs CREATEDB.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError

from storage_core import backup_lock, migrate, verify
from storage_core.backup import work_folder
from storage_core.backup_errors import BackupDamaged, NoRoomToRehearse, RestoreDiffers
from storage_core.backup_lock import REHEARSAL
from storage_core.backup_manifest import Manifest
from storage_core.backup_store import LATEST, REHEARSED, BackupStore, backup_store
from storage_core.backup_watcher import Watcher
from storage_core.chosen import Choice
from storage_core.db import make_engine, utc_now
from storage_core.restore import Target, restore
from storage_core.settings import Settings

SPARE = 1.1
"""How much more than the backup itself must be free on the disk."""
INSUFFICIENT_PRIVILEGE = "42501"
LONGEST_NAME = 63


@dataclass(slots=True)
class Report:
    """What was restored and compared; `findings` are of results that are not what their rows say."""

    backup: str
    files: int = 0
    bytes: int = 0
    rows: int = 0
    results: int = 0
    findings: list[dict[str, str]] = field(default_factory=list)
    missing: list[dict[str, str]] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether everything that the backup promises came back."""
        return not self.findings

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {**asdict(self), "sound": self.sound}


def rehearse(
    engine: Engine,
    settings: Settings,
    name: str = LATEST,
    *,
    now: datetime | None = None,
    watcher: Watcher | None = None,
) -> Report:
    """Restore a backup into scratch and verify every result there; the outcome is noted beside the backup.

    Raises what `restore` raises (noted too, when it says that the backup is not sound), BackupRunning when another
    rehearsal is at work, and NoRoomToRehearse.
    """
    watcher, store = watcher or Watcher(), backup_store(settings)
    with backup_lock.only_one(engine, settings, REHEARSAL), work_folder(settings, REHEARSAL) as work:
        manifest = store.manifest(store.find(name))
        _check_room(work, manifest)
        with _scratch_database(engine, work) as database_url, _noted_when_unsound(store, manifest.id, now):
            target = Target(folder=work / "data", database_url=database_url)
            report = _rehearsed(store, manifest, settings, target, watcher)
    store.note(manifest.id, REHEARSED, at=now or utc_now(), sound=report.sound, report=report.as_dict())
    watcher.on_step("noted")
    return report


def _rehearsed(store: BackupStore, manifest: Manifest, settings: Settings, target: Target, watcher: Watcher) -> Report:
    restored = restore(store, manifest.id, target, watcher=watcher)
    migrate.upgrade(target.database_url)  # a backup of an older release is read by this one
    there = replace(
        settings, data_dir=target.folder, database_url=target.database_url, results_uri=str(target.folder / "results")
    )
    scratch = make_engine(target.database_url)
    try:
        found = verify.verify(scratch, there, Choice(), on_progress=watcher.on_progress)
    finally:
        scratch.dispose()
    watcher.on_step("verified")
    known = {Path(problem.path).parent.name for problem in manifest.problems}
    return Report(
        manifest.id,
        files=restored.files,
        bytes=restored.bytes,
        rows=restored.rows,
        results=found.results,
        findings=[_plain(one, target.folder) for one in found.findings if not known & set(Path(one.path).parts)],
        missing=restored.missing,
    )


def _plain(finding: verify.Finding, folder: Path) -> dict[str, str]:
    path = finding.path.removeprefix(f"{folder}/")
    return {"task_id": str(finding.task_id), "path": path, "problem": finding.problem}


@contextmanager
def _noted_when_unsound(store: BackupStore, backup: str, now: datetime | None) -> Iterator[None]:
    try:
        yield
    except (BackupDamaged, RestoreDiffers) as error:
        store.note(backup, REHEARSED, at=now or utc_now(), sound=False, report={"error": str(error)})
        raise


def _check_room(work: Path, manifest: Manifest) -> None:
    free, needed = shutil.disk_usage(work).free, int(manifest.total_bytes * SPARE)
    if free < needed:
        problem = f"{work} has {free:,} bytes free, {needed:,} are needed"
        raise NoRoomToRehearse(problem, "free some, or restore the backup on another machine")


@contextmanager
def _scratch_database(engine: Engine, work: Path) -> Iterator[str]:
    if engine.dialect.name != "postgresql":
        yield f"sqlite:///{work / 'data' / 'coin-hts.sqlite3'}"
        return
    name = f"{engine.url.database}_rehearsal"[-LONGEST_NAME:]
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        _drop(connection, name)  # a crash may have left it
        create_scratch(connection, name, owner=str(engine.url.username))
        try:
            yield engine.url.set(database=name).render_as_string(hide_password=False)
        finally:
            _drop(connection, name)


def create_scratch(connection: Connection, name: str, *, owner: str) -> None:
    """Create the database for a rehearsal. Raises NoRoomToRehearse when the account may not."""
    try:
        connection.execute(text(f"CREATE DATABASE {_quoted(connection, name)} TEMPLATE template0"))
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != INSUFFICIENT_PRIVILEGE:
            raise
        cure = f"allow it: ALTER ROLE {_quoted(connection, owner)} CREATEDB"
        raise NoRoomToRehearse("the account may not create a database", cure) from error


def _drop(connection: Connection, name: str) -> None:
    connection.execute(text(f"DROP DATABASE IF EXISTS {_quoted(connection, name)} WITH (FORCE)"))


def _quoted(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name)
