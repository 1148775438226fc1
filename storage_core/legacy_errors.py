"""What can be wrong with a legacy file, or with a whole migration: each kind with its own word and sentence."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from storage_core.errors import StorageError


class BadLegacyFile(StorageError):
    """A legacy file that cannot be imported. `kind` is a word for machines, `field` where it is (empty: the file)."""

    permanent = True

    def __init__(self, kind: str, field: str, reason: str) -> None:
        self.kind, self.field, self.reason = kind, field, reason
        super().__init__(f"{field} {reason}" if field else reason)


class NotLegacy(StorageError):
    """The source folder does not hold legacy results."""

    permanent = True

    def __init__(self, source: Path, problem: str) -> None:
        self.source, self.problem = source, problem
        super().__init__(f"{source} {problem}")


class CannotMove(StorageError):
    """Files cannot be moved from the source to the backups: one of the two is read-only."""

    permanent = True

    def __init__(self, folder: Path, what: str) -> None:
        self.folder, self.what = folder, what
        super().__init__(
            f"{what} {folder} is read-only; a migrated file is moved from the source to the backups. "
            "Copy the source to a place that can be written, or look with --dry-run first"
        )


class NotWritten(StorageError):
    """A stored legacy result cannot be written back."""

    permanent = True

    def __init__(self, task_id: UUID, path: Path, problem: str) -> None:
        self.task_id, self.path, self.problem = task_id, path, problem
        super().__init__(f"{path} of backtest {task_id} was not written: {problem}")


class MigrationBroken(StorageError):
    """A process of the migration died, killed from outside or for want of memory."""

    def __init__(self) -> None:
        super().__init__(
            "a process of the migration was killed, perhaps for want of memory; nothing is lost: run the same command "
            "again, with fewer --jobs if it happens again"
        )
