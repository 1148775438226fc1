"""Where results lie: the folders of results, of results being written, and the trash.

results/backtests/{task_id}/          a result; {task_id}.r2, .r3, ... when a crashed attempt left the first name taken
results/.staging/{task_id}.{attempt}.{nonce}/    a result being written
results/.trash/{name}.{seconds}/      what no row needs any more, for a week
"""

from __future__ import annotations

import errno
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from storage_core.db import utc_now
from storage_core.errors import ResultMissing
from storage_core.files import disk_problems, file_lock, fsync_dir
from storage_core.models import Backtest

BACKTESTS, STAGING, TRASH, LOCK = "backtests", ".staging", ".trash", ".lock"
TRASH_DAYS = 7
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAME = re.compile(rf"({_UUID})(?:\.r([1-9][0-9]*))?")
_STAGED_NAME = re.compile(rf"({_UUID})\.([0-9]+)\.[0-9a-f]+")
_TRASHED_NAME = re.compile(r".+\.([0-9]{10,})")


@dataclass(frozen=True, slots=True)
class ResultFolder:
    """A folder that may hold a result; `sizes` of its files where a listing has said them anyway."""

    path: Path
    task_id: UUID
    revision: int
    sizes: Mapping[str, int] | None = field(default=None, compare=False)

    @property
    def parquet_path(self) -> str:
        """How a row names this folder."""
        return f"{BACKTESTS}/{self.path.name}/"


def named(parent: Path, task_id: UUID, revision: int) -> ResultFolder:
    """The folder of that revision of a result."""
    return ResultFolder(parent / (f"{task_id}" if revision == 1 else f"{task_id}.r{revision}"), task_id, revision)


def parsed(path: Path) -> ResultFolder | None:
    """The folder as its name says; None when it is not a name that `named` gives."""
    name = _NAME.fullmatch(path.name)
    return ResultFolder(path, UUID(name[1]), int(name[2] or 1)) if name else None


def of_row(results_dir: Path, backtest: Backtest) -> ResultFolder:
    """The folder that the row points to; raises ResultMissing when it points to none inside the results."""
    if not backtest.parquet_path:
        raise ResultMissing(backtest.task_id, None)
    path = results_dir / backtest.parquet_path
    folder = parsed(path)
    if folder is None or path.parent != results_dir / BACKTESTS:
        raise ResultMissing(backtest.task_id, path)
    return folder


def locked(results_dir: Path) -> AbstractContextManager[None]:
    """The lock of everything that decides whether a folder is needed: adopting, superseding, discarding."""
    with disk_problems(results_dir):
        results_dir.mkdir(parents=True, exist_ok=True)
    return file_lock(results_dir / LOCK)


def free_name(results_dir: Path, task_id: UUID, *, after: int = 0) -> ResultFolder:
    """The first name for a result of `task_id` beyond the revision `after` that nothing has."""
    parent = results_dir / BACKTESTS
    if not parent.exists():
        parent.mkdir(parents=True, exist_ok=True)
        fsync_dir(results_dir)
        fsync_dir(results_dir.parent)
    revision = after + 1
    while (folder := named(parent, task_id, revision)).path.exists():
        revision += 1
    return folder


def take_name(staging: Path, folder: ResultFolder) -> bool:
    """Move the staged folder there, durably; False when another was faster to take that name."""
    try:
        staging.rename(folder.path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def new_staging(results_dir: Path, task_id: UUID, attempt: int) -> Path:
    """A new empty folder to write a result in. Raises DiskProblem."""
    folder = results_dir / STAGING / f"{task_id}.{attempt}.{secrets.token_hex(8)}"
    with disk_problems(folder):
        folder.mkdir(parents=True)
    return folder


def result_folders(results_dir: Path) -> tuple[list[ResultFolder], list[str]]:
    """All result folders, of each task the newest revision first, and the names that are not ours."""
    found, foreign = [], []
    for path in _entries(results_dir / BACKTESTS):
        if (folder := parsed(path)) and path.is_dir():
            found.append(folder)
        else:
            foreign.append(path.name)
    return sorted(found, key=lambda folder: (str(folder.task_id), -folder.revision)), sorted(foreign)


def staged_folders(results_dir: Path) -> list[tuple[Path, UUID, int]]:
    """All folders being written, with the task and the attempt that writes."""
    names = ((path, _STAGED_NAME.fullmatch(path.name)) for path in _entries(results_dir / STAGING))
    return sorted((path, UUID(name[1]), int(name[2])) for path, name in names if name)


def revision_of(row: Backtest) -> int:
    """The revision that the row names, 0 when it names none. A name that readers may know is not given again."""
    return row.revision if row.parquet_path else 0


def to_trash(results_dir: Path, folder: Path, *, now: datetime | None = None) -> None:
    """Move a folder to the trash by one rename, so that it is never half there; again is harmless. Raises DiskProblem.

    Only under the lock: then one that is not there has been put away by somebody else.
    """
    trash = results_dir / TRASH
    with disk_problems(folder):
        if not folder.exists():
            return
        trash.mkdir(parents=True, exist_ok=True)
        seconds = int((now or utc_now()).timestamp())
        while (target := trash / f"{folder.name}.{seconds:010d}").exists():
            seconds += 1
        folder.rename(target)
        fsync_dir(folder.parent)
        fsync_dir(trash)


def in_trash(results_dir: Path, folder: Path) -> Path | None:
    """Where a folder of results lies in the trash now, the newest of that name; None when it is not there."""
    found = [path for path in _entries(results_dir / TRASH) if path.name.rpartition(".")[0] == folder.name]
    return max(found, default=None)


def empty_trash(results_dir: Path, *, now: datetime | None = None, dry_run: bool = False) -> list[str]:
    """Remove what has been in the trash for a week; returns the names."""
    now, old = now or utc_now(), []
    for path in sorted(_entries(results_dir / TRASH)):
        name = _TRASHED_NAME.fullmatch(path.name)
        if name and datetime.fromtimestamp(int(name[1]), UTC) < now - timedelta(days=TRASH_DAYS):
            old.append(path.name)
            if not dry_run:
                _remove(path)
    return old


def _remove(path: Path) -> None:
    """Remove a folder that another process may be removing too."""
    with disk_problems(path):
        while path.exists():
            with suppress(FileNotFoundError):  # the other one was faster with some file
                shutil.rmtree(path)


def _entries(folder: Path) -> Iterator[Path]:
    return folder.iterdir() if folder.is_dir() else iter(())
