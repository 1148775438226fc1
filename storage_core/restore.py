"""Restoring a backup into an empty place, and saying what was compared on the way.

How it goes, and what a crash leaves (each case has its test):

1. The targets are looked at before anything is written: a folder with something in it, a database with tables, or a
   bucket with objects is refused and stays as it is. Then a mark with the backup and the targets is left in the folder.
2. Files are fetched, each compared with its sha256 before it appears.
3. The database is fetched, compared and filled: SQLite by one rename, PostgreSQL in one transaction.
4. Schema revision, the rows of every table and a digest of some rows are compared with the manifest.
   Then the mark goes: **with the mark gone the restore is done.** A crash before leaves the mark: the same restore
   again goes on from there and reads again what lies there already; any other is refused.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from storage_core import restore_database
from storage_core.backup_errors import TargetNotEmpty
from storage_core.backup_manifest import BARS, GROUPS, RESULTS, BackedUpFile, Content, Manifest
from storage_core.backup_sources import bars_key
from storage_core.backup_store import BackupStore
from storage_core.backup_watcher import Progress, Watcher
from storage_core.errors import DiskProblem
from storage_core.files import disk_problems, fsync_dir, sha256_file, write_bytes
from storage_core.models import BarFile
from storage_core.object_local import LocalStorageProvider
from storage_core.object_provider import StorageProvider
from storage_core.object_settings import S3
from storage_core.parallel import in_parallel

MARK = "RESTORING.json"
STEPS = ("marked", "files", "database", "compared", "restored")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where to: `folder` becomes a DATA_DIR, `results` is where its results go (None: into the folder)."""

    folder: Path
    database_url: str
    results: StorageProvider | None = None

    @property
    def results_in_s3(self) -> bool:
        """Whether results, and bars with them, go to S3."""
        return self.results is not None and self.results.where.startswith(S3)

    def provider(self, group: str) -> StorageProvider:
        """Where the files of a group go; their keys there begin without the group."""
        if group == RESULTS and self.results is not None:
            return self.results
        return LocalStorageProvider(self.folder / group)


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored and compared."""

    backup: str
    created_at: str
    files: int
    bytes: int
    results: int
    rows: int
    tables: dict[str, int]
    revision: str | None
    missing: list[dict[str, str]]

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def restore(
    store: BackupStore,
    name: str,
    target: Target,
    *,
    watcher: Watcher | None = None,
) -> Restored:
    """Restore the backup of that name into `target`; what was compared.

    Raises NoSuchBackup, TargetNotEmpty (nothing was changed), BackupDamaged, WrongDatabase, ProgramMissing,
    ProgramFailed, RestoreDiffers, DiskProblem and ObjectError.
    """
    watcher, manifest = watcher or Watcher(), store.manifest(store.find(name))
    restore_database.check_kind(manifest.database.kind, target.database_url)
    mark = {"backup": manifest.id, "database": restore_database.public_address(target.database_url)}
    going_on = _is_marked(target.folder, mark)
    if not going_on:
        _refuse_unless_empty(target)
        _leave_mark(target.folder, mark)
    watcher.on_step("marked")
    _restore_files(store, manifest, target, watcher.on_progress)
    watcher.on_step("files")
    if not (going_on and restore_database.what_is_in(target.database_url)):
        restore_database.fill(store, manifest.database, target.database_url, target.folder, check=watcher.check)
    watcher.on_step("database")
    restore_database.compare(manifest.database, target.database_url)
    watcher.on_step("compared")
    with disk_problems(target.folder):
        (target.folder / MARK).unlink()
        fsync_dir(target.folder)
    watcher.on_step("restored")
    return _said(manifest)


def _refuse_unless_empty(target: Target) -> None:
    if entries := _entries(target.folder):
        raise TargetNotEmpty(str(target.folder), ", ".join(entries))
    if found := restore_database.what_is_in(target.database_url):
        raise TargetNotEmpty(restore_database.public_address(target.database_url), found)
    if target.results is not None and (first := next(iter(target.results.list()), None)):
        raise TargetNotEmpty(target.results.where, first.key)


def _entries(folder: Path) -> list[str]:
    """The first names in a folder; none when it is empty or does not exist."""
    try:
        return sorted(path.name for path in folder.iterdir())[:3]
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        return ["it is a file"]
    except OSError as error:
        raise DiskProblem(folder, str(error.strerror)) from error


def _is_marked(folder: Path, mark: dict[str, str]) -> bool:
    try:
        return bool(json.loads((folder / MARK).read_bytes()) == mark)
    except (OSError, ValueError):
        return False


def _leave_mark(folder: Path, mark: dict[str, str]) -> None:
    with disk_problems(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / MARK, json.dumps(mark, indent=1).encode())


def _restore_files(store: BackupStore, manifest: Manifest, target: Target, progress: Progress) -> None:
    providers = {group: target.provider(group) for group in GROUPS}
    bars_in_s3 = target.results_in_s3 and manifest.database.tables.get(BarFile.__tablename__, 0) > 0

    def fetch(file: BackedUpFile) -> None:
        group, _, path = file.path.partition("/")
        if group == BARS and bars_in_s3:
            symbol, _, timeframe = path.removesuffix(".parquet").partition("_")
            group, path = RESULTS, bars_key(symbol, timeframe, file.content.sha256)
        _fetch(store, providers[group], path, file.content)

    with closing(in_parallel(fetch, store.files(manifest))) as fetched:
        for done, _ in enumerate(fetched, 1):
            progress(done, manifest.file_count, 0)


def _fetch(store: BackupStore, provider: StorageProvider, path: str, content: Content) -> None:
    if isinstance(provider, LocalStorageProvider):
        place = provider.root / path
        if not (place.is_file() and sha256_file(place) == content.sha256):
            with disk_problems(place):
                place.parent.mkdir(parents=True, exist_ok=True)
            store.fetch(content, place)
        return
    with store.provider.open(store.key(content.sha256)) as stream:
        provider.upload(path, cast(BinaryIO, stream), sha256=content.sha256)


def _said(manifest: Manifest) -> Restored:
    return Restored(
        backup=manifest.id,
        created_at=manifest.created_at.isoformat(),
        files=manifest.file_count,
        bytes=manifest.file_bytes + manifest.database.content.bytes,
        results=manifest.result_count,
        rows=sum(manifest.database.tables.values()),
        tables=manifest.database.tables,
        revision=manifest.database.revision,
        missing=[asdict(problem) for problem in manifest.problems],
    )
