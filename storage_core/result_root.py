"""Where results are kept: a folder of this machine, or S3. Saving, reading and reconciling are the same for both.

What differs stands here and in `object_results`: how a staged result gets its place, what lies in the places, how a
file is read, what becomes of places that nobody needs. A place is named by a ResultFolder, whose `parquet_path` is
what a row stores. Results being written lie on this machine in both cases.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from storage_core import manifest, result_folders
from storage_core.errors import ResultMissing
from storage_core.files import disk_problems, fsync_dir
from storage_core.models import Backtest
from storage_core.object_settings import S3
from storage_core.result_folders import ResultFolder
from storage_core.settings import Settings

T = TypeVar("T")
Files = Mapping[str, Mapping[str, Any]]
"""Of each table: rows, bytes and sha256 of its file."""


class ResultRoot(ABC):
    """Results under one root; `results_dir` is the folder of this machine where they are staged."""

    def __init__(self, results_dir: Path) -> None:
        self.results_dir = self.base = results_dir

    def of_row(self, backtest: Backtest) -> ResultFolder:
        """The place that the row points to; raises ResultMissing when it points to none."""
        return result_folders.of_row(self.base, backtest)

    def locked(self) -> AbstractContextManager[None]:
        """The lock, among the processes of this machine, of what decides whether a folder is needed."""
        return result_folders.locked(self.results_dir)

    @abstractmethod
    def free_name(self, task_id: UUID, attempt: int) -> ResultFolder:
        """A name for the result of that attempt that nothing has."""

    @abstractmethod
    def take_name(self, staging: Path, folder: ResultFolder, *, on_step: Callable[[str], None]) -> bool:
        """Give the staged result its place, whole; False when another was faster to take that name."""

    @abstractmethod
    def flush(self, folder: ResultFolder) -> None:
        """Make `take_name` durable."""

    @abstractmethod
    def result_folders(self) -> tuple[list[ResultFolder], list[str]]:
        """All places that may hold a result, of each task the newest revision first, and names that are not ours."""

    @abstractmethod
    def to_trash(self, folder: Path, *, now: datetime | None = None) -> None:
        """Put away a place of `result_folders` by its `path`."""

    @abstractmethod
    def empty_trash(
        self, *, needed: Callable[[str], bool], now: datetime | None = None, dry_run: bool = False
    ) -> list[str]:
        """Remove what has been put away for a week; `needed` says whether a row names a `parquet_path` after all."""

    @abstractmethod
    def manifest(self, folder: ResultFolder) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """What `manifest.load` says of a place. Raises ResultDamaged."""

    @abstractmethod
    def verify(self, folder: ResultFolder, files: Files, *, deep: bool = True) -> None:
        """Compare the files with what was noted of them, bytes and, when `deep`, contents. Raises ResultDamaged."""

    @abstractmethod
    def read(self, backtest: Backtest, table: str, read: Callable[[Path], T]) -> T:
        """What `read` makes of the file of a table. Raises ResultMissing, and what `read` raises."""

    def close(self) -> None:  # noqa: B027
        """Give connections back."""


class LocalResultRoot(ResultRoot):
    """Results in a folder of this machine."""

    def free_name(self, task_id: UUID, attempt: int) -> ResultFolder:
        """The first name that no folder has: taking it is safe, so the attempt does not matter."""
        with disk_problems(self.results_dir):
            return result_folders.free_name(self.results_dir, task_id)

    def take_name(self, staging: Path, folder: ResultFolder, *, on_step: Callable[[str], None]) -> bool:
        """One rename."""
        with disk_problems(folder.path):
            return result_folders.take_name(staging, folder)

    def flush(self, folder: ResultFolder) -> None:
        """Flush the parent, which holds the name."""
        with disk_problems(folder.path):
            fsync_dir(folder.path.parent)

    def result_folders(self) -> tuple[list[ResultFolder], list[str]]:
        """The folders in `backtests`."""
        return result_folders.result_folders(self.results_dir)

    def to_trash(self, folder: Path, *, now: datetime | None = None) -> None:
        """One rename."""
        result_folders.to_trash(self.results_dir, folder, now=now)

    def empty_trash(
        self, *, needed: Callable[[str], bool], now: datetime | None = None, dry_run: bool = False
    ) -> list[str]:
        """What lies in the trash is not at the place that a row names, so nobody needs to be asked."""
        return result_folders.empty_trash(self.results_dir, now=now, dry_run=dry_run)

    def manifest(self, folder: ResultFolder) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """The file in the folder."""
        return manifest.load(folder.path)

    def verify(self, folder: ResultFolder, files: Files, *, deep: bool = True) -> None:
        """The files in the folder."""
        from storage_core import result_files

        result_files.verify(folder.path, files, deep=deep)

    def read(self, backtest: Backtest, table: str, read: Callable[[Path], T]) -> T:
        """The file itself."""
        path = self.of_row(backtest).path / f"{table}.parquet"
        try:
            return read(path)
        except FileNotFoundError as error:
            raise ResultMissing(backtest.task_id, path) from error


def result_root(settings: Settings) -> ResultRoot:
    """Where these settings keep results. Connections to S3 are made by the first use and used again by every later."""
    if settings.results_uri is None or not settings.results_uri.startswith(S3):
        return LocalResultRoot(settings.results_dir)
    from storage_core.object_cache import FileCache
    from storage_core.object_results import S3ResultRoot
    from storage_core.object_store import provider_for

    cache = FileCache(settings.data_dir / "cache" / "results", limit=settings.results_cache_mb * 1_000_000)
    return S3ResultRoot(settings.results_dir, provider_for(settings.results_uri, settings), cache)
