"""Where results are kept: a folder of this machine, or S3 (`object_results`).

Saving, reading and reconciling are the same for both; `result_base` says in what they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from storage_core import manifest, modes, result_folders
from storage_core.errors import ResultMissing
from storage_core.files import disk_problems, fsync_dir
from storage_core.models import Backtest
from storage_core.result_base import Files, ResultRoot, T
from storage_core.result_folders import ResultFolder
from storage_core.settings import Settings

__all__ = ["LocalResultRoot", "ResultRoot", "result_root"]


class LocalResultRoot(ResultRoot):
    """Results in a folder of this machine."""

    def free_name(self, task_id: UUID, attempt: int, *, after: int = 0) -> ResultFolder:
        """The first name that no folder has: taking it is safe, so the attempt does not matter."""
        with disk_problems(self.results_dir):
            return result_folders.free_name(self.results_dir, task_id, after=after)

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

    def is_there(self, folder: ResultFolder) -> bool:
        """Whether the folder exists."""
        return folder.path.is_dir()

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

    def has_manifest(self, folder: ResultFolder) -> bool:
        """Whether the file is in the folder."""
        return (folder.path / manifest.MANIFEST).is_file()

    @contextmanager
    def opened(self, folder: ResultFolder, name: str) -> Iterator[Path]:
        """The file itself."""
        path = folder.path / name
        if not path.is_file():
            raise FileNotFoundError(path)
        yield path

    def verify(self, folder: ResultFolder, files: Files, *, deep: bool = True) -> None:
        """The files in the folder."""
        from storage_core import result_files

        result_files.verify(folder.path, files, deep=deep)

    def remove_unfinished(self, *, before: datetime, dry_run: bool = False) -> Sequence[str]:
        """A rename leaves nothing."""
        return ()

    def read(self, backtest: Backtest, table: str, read: Callable[[Path], T]) -> T:
        """The file itself, also where it went to the trash after the row was read."""
        folder, name = self.of_row(backtest).path, modes.file_name(table)
        try:
            return read(folder / name)
        except FileNotFoundError as error:
            trashed = result_folders.in_trash(self.results_dir, folder)
            if trashed is None or not (trashed / name).is_file():
                raise ResultMissing(backtest.task_id, folder / name) from error
            return read(trashed / name)


def result_root(settings: Settings) -> ResultRoot:
    """Where these settings keep results. Connections to S3 are made by the first use and used again by every later."""
    if settings.results_bucket is None:
        return LocalResultRoot(settings.results_dir)
    from storage_core.object_cache import FileCache
    from storage_core.object_results import S3ResultRoot
    from storage_core.object_store import provider_for

    cache = FileCache(settings.data_dir / "cache" / "results", limit=settings.results_cache_mb * 1_000_000)
    return S3ResultRoot(settings.results_dir, provider_for(settings.results_bucket, settings), cache)
