"""What saving, reading and reconciling ask of the place where results are kept, a folder of this machine or S3.

A result's place is named by a ResultFolder, whose `parquet_path` is what a row stores. Results being written lie on
this machine in both cases.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from storage_core import result_folders
from storage_core.errors import ResultDamaged
from storage_core.manifest import MANIFEST
from storage_core.models import Backtest
from storage_core.result_folders import ResultFolder

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
    def free_name(self, task_id: UUID, attempt: int, *, after: int = 0) -> ResultFolder:
        """A name for the result of that attempt, beyond the revision `after`, that nothing has."""

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
    def is_there(self, folder: ResultFolder) -> bool:
        """Whether a place that `result_folders` named is there now: anybody may have put it away since."""

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
    def has_manifest(self, folder: ResultFolder) -> bool:
        """Whether a place has the file of its manifest."""

    def check_manifest(self, folder: ResultFolder, *, deep: bool = True) -> None:
        """Raises ResultDamaged when the manifest of a place is gone or, when `deep`, not what it says of itself."""
        if deep:
            self.manifest(folder)
        elif not self.has_manifest(folder):
            raise ResultDamaged(self.called(folder, MANIFEST), "it does not exist")

    def called(self, folder: ResultFolder, name: str) -> str:
        """How people find the file `name` of a place."""
        return str(folder.path / name)

    @abstractmethod
    def opened(self, folder: ResultFolder, name: str) -> AbstractContextManager[Path]:
        """The file `name` as it lies there now, past every cache, for as long as the block runs.

        Raises FileNotFoundError.
        """

    @abstractmethod
    def verify(self, folder: ResultFolder, files: Files, *, deep: bool = True) -> None:
        """Compare the files with what was noted of them, bytes and, when `deep`, contents. Raises ResultDamaged."""

    @abstractmethod
    def read(self, backtest: Backtest, table: str, read: Callable[[Path], T]) -> T:
        """What `read` makes of the file of a table. Raises ResultMissing, and what `read` raises."""

    @abstractmethod
    def remove_unfinished(self, *, before: datetime, dry_run: bool = False) -> Sequence[str]:
        """Remove what killed transfers left behind outside of the staging folders; returns names."""

    def close(self) -> None:  # noqa: B027
        """Give connections back."""
