"""After a crash: bring folders and rows back into agreement. Nothing that might be needed is deleted, only moved.

What is found, and what is done:
- a staging folder whose attempt no longer runs, parts of an upload that began a day ago: removed;
- a whole, verified folder of a backtest that never got to its commit (queued again, silent, or failed for want of its
  worker): adopted, the row is completed from its manifest; also when the database has lost the row altogether;
- a folder that its completed row does not name, or one that is not whole: moved to the trash;
- a completed row whose files are gone or not what was stored: reported, never hidden.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Engine, and_, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from storage_core import manifest, result_folders
from storage_core.backtests import WORKER_LOST
from storage_core.db import session_scope, utc_now
from storage_core.errors import ResultDamaged, ResultMissing
from storage_core.events import add_event
from storage_core.models import Backtest, User
from storage_core.result_folders import ResultFolder
from storage_core.result_root import ResultRoot, result_root
from storage_core.settings import Settings

SILENT_FOR = timedelta(seconds=15)
LONGEST_TRANSFER = timedelta(days=1)
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
    now, report, root = now or utc_now(), Report(), result_root(settings)
    alive_since = now - silent_for
    folders, report.foreign = root.result_folders()
    _clean_staging(engine, settings, root, report, dry_run=dry_run, alive_since=alive_since)
    report.staging_removed += root.remove_unfinished(before=now - LONGEST_TRANSFER, dry_run=dry_run)
    for folder in _unnamed(engine, folders):
        with root.locked():
            _settle(engine, root, folder, report, dry_run=dry_run, now=now, alive_since=alive_since)
    report.trash_emptied = root.empty_trash(needed=partial(is_named, engine), now=now, dry_run=dry_run)
    _check_completed(engine, root, folders, report, deep=deep)
    return report


def _unnamed(engine: Engine, folders: Sequence[ResultFolder]) -> Iterator[ResultFolder]:
    """The few folders that no row names: what is decided about one is decided under the lock, by another look."""
    for first in range(0, len(folders), ROWS_AT_ONCE):
        some = folders[first : first + ROWS_AT_ONCE]
        query = select(Backtest.parquet_path).where(Backtest.task_id.in_({folder.task_id for folder in some}))
        with session_scope(engine) as session:
            named = set(session.scalars(query))
        yield from (folder for folder in some if folder.parquet_path not in named)


def is_named(engine: Engine, parquet_path: str) -> bool:
    """Whether a row says that its result is there."""
    folder = result_folders.parsed(Path(parquet_path))
    if folder is None:
        return False
    with session_scope(engine) as session:
        row = session.get(Backtest, folder.task_id)
    return row is not None and row.parquet_path == folder.parquet_path


def _clean_staging(
    engine: Engine, settings: Settings, root: ResultRoot, report: Report, *, dry_run: bool, alive_since: datetime
) -> None:
    """Remove what dead writers left. A running attempt keeps its own; repairs and imports keep theirs by the lock."""
    for path, task_id, attempt in result_folders.staged_folders(settings.results_dir):
        with session_scope(engine) as session:
            row = session.get(Backtest, task_id)
        if row is not None and row.attempt == attempt and _alive(row, alive_since):
            report.busy.append(path.name)
            continue
        with root.locked():
            if not path.exists():
                continue  # its writer was at work until now
            report.staging_removed.append(path.name)
            if not dry_run:
                shutil.rmtree(path, ignore_errors=True)


def _settle(
    engine: Engine,
    root: ResultRoot,
    folder: ResultFolder,
    report: Report,
    *,
    dry_run: bool,
    now: datetime,
    alive_since: datetime,
) -> None:
    """Decide about one folder: it is named by its row, still busy, adopted, or trash."""
    with session_scope(engine) as session:
        row = session.get(Backtest, folder.task_id)
    if row is not None and row.parquet_path == folder.parquet_path:
        return  # its commit came after the listing
    if row is not None and _alive(row, alive_since):
        report.busy.append(folder.path.name)
        return
    if not root.is_there(folder):
        return
    reason = _why_not_needed(row)
    if not reason:
        try:
            values = _verified(root, folder)
        except ResultDamaged as error:
            reason = f"it is not whole: {error.problem}"
        else:
            reason = _take_in(engine, folder, row, values, report, dry_run=dry_run, now=now)
    if reason:
        report.trashed[folder.path.name] = reason
        if not dry_run:
            root.to_trash(folder.path, now=now)


def _take_in(
    engine: Engine,
    folder: ResultFolder,
    row: Backtest | None,
    values: Mapping[str, Any],
    report: Report,
    *,
    dry_run: bool,
    now: datetime,
) -> str:
    """Adopt a whole folder, unless a newer revision was; why it is trash, or nothing."""
    if folder.task_id in report.adopted:
        return "a newer revision was adopted"
    adopted = dry_run
    if not dry_run:
        try:
            with session_scope(engine) as session:
                adopted = _adopt(session, row, values, now=now)
        except IntegrityError:  # another machine was faster to write the row that was lost
            adopted = False
    if adopted:
        report.adopted.append(folder.task_id)
    else:
        report.busy.append(folder.path.name)
    return ""


def _alive(row: Backtest, alive_since: datetime) -> bool:
    return row.status == "running" and row.heartbeat_at is not None and row.heartbeat_at >= alive_since


def _why_not_needed(row: Backtest | None) -> str:
    if row is None or row.status in ("queued", "running"):
        return ""
    if row.status == "completed":
        return "its row names another revision"
    return "" if row.error_code == WORKER_LOST else f"its backtest is {row.status}"


def _verified(root: ResultRoot, folder: ResultFolder) -> dict[str, Any]:
    """The values for the row, once every file has been compared with its sha256."""
    values, files = root.manifest(folder)
    root.verify(folder, files)
    if values.get("task_id") != folder.task_id:
        raise ResultDamaged(folder.path / manifest.MANIFEST, "it is of another backtest")
    return {**values, "revision": folder.revision, "parquet_path": folder.parquet_path}


_KEPT = {
    "task_id", "note", "pinned", "tags", "shared", "owner_id", "created_at", "updated_at", "deleted_at", "attempt",
}  # fmt: skip
"""What the row knows better than its manifest: people may have changed it since."""


def _adopt(session: Session, row: Backtest | None, values: Mapping[str, Any], *, now: datetime) -> bool:
    """Complete the row from the manifest, if it is still as it was seen; insert it when there is none."""
    if row is None:
        owner = values.get("owner_id")
        known = owner is not None and session.get(User, owner) is not None
        session.execute(insert(Backtest).values({**values, "owner_id": owner if known else None}))
    else:
        columns = {name: value for name, value in values.items() if name not in _KEPT}
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


def _check_completed(
    engine: Engine, root: ResultRoot, folders: Sequence[ResultFolder], report: Report, *, deep: bool
) -> None:
    """Report completed rows whose files are not what was stored."""
    listed = {folder.parquet_path: folder for folder in folders}
    for row in _completed(engine):
        if row.task_id in report.adopted:
            continue  # verified a moment ago
        try:
            folder = listed.get(row.parquet_path or "") or root.of_row(row)
            root.verify(folder, row.metadata_.get("files") or {}, deep=deep)
            root.check_manifest(folder, deep=deep)
        except (ResultDamaged, ResultMissing) as error:
            if not is_superseded(engine, row):
                report.damaged[row.task_id] = str(error)


def is_superseded(engine: Engine, row: Backtest) -> bool:
    """Whether the row is gone, was deleted, or points to another place than it did when it was read."""
    with session_scope(engine) as session:
        now = session.get(Backtest, row.task_id)
    return now is None or (now.parquet_path, now.deleted_at) != (row.parquet_path, row.deleted_at)


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
