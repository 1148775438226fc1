"""After a crash: bring folders and rows back into agreement. Nothing that might be needed is deleted, only moved.

What is found, and what is done:
- a staging folder whose attempt no longer runs: removed;
- a whole, verified folder of a backtest that never got to its commit (queued again, silent, or failed for want of its
  worker): adopted, the row is completed from its manifest; also when the database has lost the row altogether;
- a folder that its completed row does not name, or one that is not whole: moved to the trash;
- a completed row whose files are gone or not what was stored: reported, never hidden.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Engine, and_, insert, select, update
from sqlalchemy.orm import Session

from storage_core import manifest, result_folders
from storage_core.backtests import WORKER_LOST
from storage_core.db import session_scope, utc_now
from storage_core.errors import ResultDamaged, ResultMissing
from storage_core.events import add_event
from storage_core.models import Backtest, User
from storage_core.result_folders import ResultFolder
from storage_core.result_store import result_folder
from storage_core.settings import Settings

SILENT_FOR = timedelta(seconds=15)
ROWS_AT_ONCE = 500


@dataclass(slots=True)
class Report:
    """What `reconcile` did (or, in a dry run, would do)."""

    staging_removed: list[str] = field(default_factory=list)
    adopted: list[UUID] = field(default_factory=list)
    trashed: dict[str, str] = field(default_factory=dict)
    trash_emptied: list[str] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    damaged: dict[UUID, str] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Whether anything was out of place and put right."""
        return bool(self.staging_removed or self.adopted or self.trashed)


def reconcile(
    engine: Engine,
    settings: Settings,
    *,
    dry_run: bool = False,
    deep: bool = False,
    silent_for: timedelta = SILENT_FOR,
    now: datetime | None = None,
) -> Report:
    """Put folders and rows right; safe at any time, from any number of processes, while others save.

    `deep` reads every completed result again and compares its sha256; otherwise only the presence and size of the
    files. `silent_for` is how long a heart may be silent before its attempt counts as dead.
    """
    now, report = now or utc_now(), Report()
    with result_folders.locked(settings.results_dir):
        folders, report.foreign = result_folders.result_folders(settings.results_dir)
        _clean_staging(engine, settings, report, dry_run=dry_run, alive_since=now - silent_for)
        for folder in folders:
            with session_scope(engine) as session:
                _settle(session, settings, folder, report, dry_run=dry_run, now=now, alive_since=now - silent_for)
        report.trash_emptied = result_folders.empty_trash(settings.results_dir, now=now, dry_run=dry_run)
    _check_completed(engine, settings, report, deep=deep)
    return report


def _clean_staging(engine: Engine, settings: Settings, report: Report, *, dry_run: bool, alive_since: datetime) -> None:
    for path, task_id, attempt in result_folders.staged_folders(settings.results_dir):
        with session_scope(engine) as session:
            row = session.get(Backtest, task_id)
        if row is not None and row.attempt == attempt and _alive(row, alive_since):
            report.busy.append(path.name)
            continue
        report.staging_removed.append(path.name)
        if not dry_run:
            shutil.rmtree(path, ignore_errors=True)  # its writer may be removing it too


def _settle(
    session: Session,
    settings: Settings,
    folder: ResultFolder,
    report: Report,
    *,
    dry_run: bool,
    now: datetime,
    alive_since: datetime,
) -> None:
    """Decide about one folder: it is named by its row, still busy, adopted, or trash."""
    row = session.get(Backtest, folder.task_id)
    if row is not None and row.parquet_path == folder.parquet_path:
        return
    if row is not None and _alive(row, alive_since):
        report.busy.append(folder.path.name)
        return
    reason = _why_not_needed(row)
    if not reason:
        try:
            values = _verified(folder)
        except ResultDamaged as error:
            reason = f"it is not whole: {error.problem}"
        else:
            if folder.task_id in report.adopted:
                reason = "a newer revision was adopted"
            elif dry_run or _adopt(session, row, values, now=now):
                report.adopted.append(folder.task_id)
            else:
                report.busy.append(folder.path.name)
    if reason:
        report.trashed[folder.path.name] = reason
        if not dry_run:
            result_folders.to_trash(settings.results_dir, folder.path, now=now)


def _alive(row: Backtest, alive_since: datetime) -> bool:
    return row.status == "running" and row.heartbeat_at is not None and row.heartbeat_at >= alive_since


def _why_not_needed(row: Backtest | None) -> str:
    if row is None or row.status in ("queued", "running"):
        return ""
    if row.status == "completed":
        return "its row names another revision"
    return "" if row.error_code == WORKER_LOST else f"its backtest is {row.status}"


def _verified(folder: ResultFolder) -> dict[str, Any]:
    """The values for the row, once every file has been compared with its sha256."""
    from storage_core import result_files

    values, files = manifest.load(folder.path)
    result_files.verify(folder.path, files)
    if values.get("task_id") != folder.task_id:
        raise ResultDamaged(folder.path / manifest.MANIFEST, "it is of another backtest")
    return {**values, "revision": folder.revision, "parquet_path": folder.parquet_path}


def _adopt(session: Session, row: Backtest | None, values: Mapping[str, Any], *, now: datetime) -> bool:
    """Complete the row from the manifest, if it is still as it was seen; insert it when there is none."""
    if row is None:
        owner = values.get("owner_id")
        known = owner is not None and session.get(User, owner) is not None
        session.execute(insert(Backtest).values({**values, "owner_id": owner if known else None}))
    else:
        kept = {"task_id", "note", "pinned", "tags", "owner_id", "created_at", "updated_at", "deleted_at", "attempt"}
        columns = {name: value for name, value in values.items() if name not in kept}
        statement = update(Backtest).where(_unchanged(row)).values(columns).returning(Backtest.task_id)
        if session.execute(statement, execution_options={"synchronize_session": False}).one_or_none() is None:
            return False
    add_event(session, values["task_id"], "adopted", attempt=values["attempt"], actor="reconcile", now=now)
    return True


def _unchanged(row: Backtest) -> ColumnElement[bool]:
    beat = Backtest.heartbeat_at
    same_beat = beat.is_(None) if row.heartbeat_at is None else beat == row.heartbeat_at
    return and_(
        Backtest.task_id == row.task_id, Backtest.attempt == row.attempt, Backtest.status == row.status, same_beat
    )


def _check_completed(engine: Engine, settings: Settings, report: Report, *, deep: bool) -> None:
    """Report completed rows whose files are not what was stored."""
    from storage_core import result_files

    for row in _completed(engine):
        if row.task_id in report.adopted:
            continue  # verified a moment ago
        try:
            folder = result_folder(settings, row)
            result_files.verify(folder, row.metadata_.get("files") or {}, deep=deep)
        except (ResultDamaged, ResultMissing) as error:
            report.damaged[row.task_id] = str(error)


def _completed(engine: Engine) -> Iterator[Backtest]:
    """All completed rows, in short transactions."""
    wanted = select(Backtest).where(Backtest.status == "completed", Backtest.deleted_at.is_(None))
    last = UUID(int=0)
    while True:
        with session_scope(engine) as session:
            query = wanted.where(Backtest.task_id > last).order_by(Backtest.task_id).limit(ROWS_AT_ONCE)
            rows = session.scalars(query).all()
        if not rows:
            return
        yield from rows
        last = rows[-1].task_id
