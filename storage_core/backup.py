"""Taking a backup: the database, then every file that it names and the store does not hold yet, the manifest last.

How a backup goes, and what a crash leaves (each case has its test):

1. The database is frozen (`backup_database`) and dumped; which files its rows name is read from that same snapshot.
   Results never change once saved, and what is deleted meanwhile stays in the trash for a week: so the order
   "rows first, files afterwards" leaves no row without its files, however much is saved and purged beside it.
   Crash: a work folder, which the next backup empties.
2. Contents are sent under their sha256; those that are there already are not even read.
   Crash: contents that no manifest names. The next backup finds them there; a prune removes them after a day.
3. The list of files is sent, and everything the backup counts on is looked for in a second listing.
4. The manifest is sent. **That is the commit point.** Before it there is no backup, after it all of it is there.

A damaged or missing file does not stop the backup of all others: the backup is made and names it under `problems`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine

from storage_core import backup_counts, backup_database, backup_lock, backup_manifest, backup_sources
from storage_core.backup_copy import copy_all
from storage_core.backup_errors import BackupDamaged, BackupDisturbed
from storage_core.backup_index import FileIndex
from storage_core.backup_manifest import Content, DatabaseDump, Manifest
from storage_core.backup_sources import BarsInS3
from storage_core.backup_store import BackupStore, backup_store
from storage_core.backup_watcher import Watcher
from storage_core.db import utc_now
from storage_core.files import disk_problems, sha256_file
from storage_core.settings import Settings

STEPS = ("begun", "dumped", "database", "files", "list", "checked", "committed")
"""As `on_step` hears of them; the commit point lies between the last two."""
WORK = "backup-work"


def create(
    engine: Engine,
    settings: Settings,
    *,
    release: str = "",
    now: datetime | None = None,
    watcher: Watcher | None = None,
) -> Manifest:
    """Take a backup to where the settings say; returns its manifest, whose `problems` name what it could not hold.

    `release` of the product is noted. `watcher` hears of steps, and of files done, all files and files with a problem.

    Raises BackupRunning, DatabaseDamaged, ProgramMissing, ProgramFailed, BackupDisturbed, DiskProblem and ObjectError;
    then no backup was made, and what was sent so far is not sent again.
    """
    watcher, store, began = watcher or Watcher(), backup_store(settings), time.monotonic()
    with (
        backup_lock.only_one(engine, settings),
        work_folder(settings, "backup") as work,
        FileIndex(work / "index.sqlite3") as index,
    ):
        watcher.on_step("begun")
        now, ids = now or utc_now(), store.ids()
        _load(store, index, ids)
        database, bars = _database(engine, store, index, work, watcher)
        found = backup_sources.sources(settings, index, bars)
        index.want(backup_sources.bar_files(settings, bars))
        index.want(backup_sources.other_files(settings))
        copied = copy_all(store, index, found, on_progress=watcher.on_progress)
        copied.reasons |= backup_sources.unnameable(settings)
        watcher.on_step("files")
        files = _send_list(store, index, work / "files.gz")
        watcher.on_step("list")
        _look_again(store, index, [database.content, files])
        watcher.on_step("checked")
        count, size = index.totals_held()
        manifest = Manifest(
            id=backup_manifest.new_id(now, ids),
            created_at=now,
            seconds=round(time.monotonic() - began, 3),
            product_version=release,
            database=database,
            files=files,
            file_count=count,
            file_bytes=size,
            result_count=index.count_results(),
            added_count=copied.added_count,
            added_bytes=copied.added_bytes,
            problems=copied.problems(),
        )
        store.commit(manifest)
        watcher.on_step("committed")
    return manifest


@contextmanager
def work_folder(settings: Settings, name: str) -> Iterator[Path]:
    """An empty folder for what is needed in between; what a crash left in it goes first."""
    folder = settings.data_dir / WORK / name
    with disk_problems(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _load(store: BackupStore, index: FileIndex, ids: list[str]) -> None:
    """What the store holds, and what the newest backup knows of files; one that is damaged knows nothing."""
    index.add_present((content, modified.timestamp()) for content, modified in store.contents())
    if ids:
        try:
            index.add_earlier(store.files(store.manifest(ids[-1])))
        except BackupDamaged:
            return  # then files are read again; `verify` is who tells


def _database(
    engine: Engine, store: BackupStore, index: FileIndex, work: Path, watcher: Watcher
) -> tuple[DatabaseDump, list[BarsInS3]]:
    path = work / "database.dump"
    with backup_database.snapshot(engine, work, check=watcher.check) as frozen:
        index.want(backup_sources.result_files(frozen))
        bars = frozen.bars()
        revision = backup_counts.revision(frozen.connection)
        tables = backup_counts.table_counts(frozen.connection)
        samples = backup_counts.table_samples(frozen.connection)
        program = frozen.dump(path, check=watcher.check)
    watcher.on_step("dumped")
    content = store.put(path, sha256_file(path))
    watcher.on_step("database")
    dump = DatabaseDump(
        kind=frozen.kind, content=content, program=program, revision=revision, tables=tables, samples=samples
    )
    return dump, bars


def _send_list(store: BackupStore, index: FileIndex, path: Path) -> Content:
    backup_manifest.write_list(path, index.held())
    return store.put(path, sha256_file(path))


def _look_again(store: BackupStore, index: FileIndex, more: list[Content]) -> None:
    """A content that was there at the start, and so was not sent, may have been removed by somebody else since."""
    index.add_present((content, modified.timestamp()) for content, modified in store.contents())
    gone = next(index.held_not_present(), None) or next((one for one in more if not index.is_present(one)), None)
    if gone is not None:
        raise BackupDisturbed(store.where, store.key(gone.sha256))
