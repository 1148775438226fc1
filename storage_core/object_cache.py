"""A folder of files fetched from elsewhere: bounded, shared between processes, each in a folder named by its sha256.

A file is fetched whole, compared with its digest, and only then there; so it cannot be stale, and two processes that
fetch it at once do no harm. What was used longest ago goes first. A file that somebody reads is not removed under
their hands, and a process that dies holds nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from secrets import token_hex

from storage_core.errors import DiskProblem
from storage_core.files import disk_problems, file_lock

LOCK = ".lock"
ABANDONED_AFTER = 3600  # seconds: longer than any download of a file takes
_SHA256 = re.compile(r"[0-9a-f]{64}")


class FileCache:
    """Files by sha256 in `folder`, which may hold `limit` bytes and whatever is being read at this moment."""

    def __init__(self, folder: Path, *, limit: int) -> None:
        self.folder, self.limit = folder, limit

    @contextmanager
    def held(self, sha256: str, name: str, size: int, fetch: Callable[[Path], object]) -> Iterator[Path]:
        """The path of the file `name` with that digest, there until the block ends; `fetch` writes it when it is not.

        `fetch` must compare what it writes with the digest. Raises what it raises, and DiskProblem.
        """
        if not _SHA256.fullmatch(sha256):
            raise ValueError(f"not a sha256: {sha256[:80]!r}")
        path = self.folder / sha256 / name
        while (descriptor := _lock_shared(path, size)) is None:
            self._fetch(path, size, fetch)
        try:
            os.utime(descriptor)
            yield path
        finally:
            os.close(descriptor)

    def drop(self, sha256: str, name: str) -> None:
        """Forget a file, e.g. one that the local disk has damaged. Who reads it by its name may miss it."""
        if self.folder.exists():
            with self._names_locked():
                (self.folder / sha256 / name).unlink(missing_ok=True)

    def drop_unused(self, *, before: datetime) -> None:
        """Forget what nobody has read since that instant."""
        if not self.folder.exists():
            return
        with self._names_locked():
            for path, status in self._files():
                if status.st_mtime < before.timestamp():
                    _remove_unused(path)

    def size(self) -> int:
        """How many bytes the cache holds."""
        if not self.folder.exists():
            return 0
        with self._names_locked():
            return sum(status.st_size for _, status in self._files())

    def _fetch(self, path: Path, size: int, fetch: Callable[[Path], object]) -> None:
        """Fetch beside the files' folders: the one it belongs in may go at any moment, with an older file in it."""
        with disk_problems(path):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._make_room(size)
        fetched = self.folder / f".{token_hex(8)}"
        try:
            fetch(fetched)
            with self._names_locked(), disk_problems(path):
                path.parent.mkdir(exist_ok=True)
                if not _is_whole(path, size):  # a whole one stays: its readers hold it by this name
                    fetched.replace(path)
        finally:
            fetched.unlink(missing_ok=True)

    @contextmanager
    def _names_locked(self) -> Iterator[None]:
        """Nobody else adds or removes a file meanwhile."""
        with file_lock(self.folder / LOCK):
            yield

    def _make_room(self, wanted: int) -> None:
        """Remove what was used longest ago until `wanted` more bytes fit; what is being read stays."""
        with self._names_locked():
            files = sorted(self._files(), key=lambda file: file[1].st_mtime)
            excess = sum(status.st_size for _, status in files) + wanted - self.limit
            for path, status in files:
                being_fetched = path.parent == self.folder and status.st_mtime > time.time() - ABANDONED_AFTER
                if excess > 0 and not being_fetched and _remove_unused(path):
                    excess -= status.st_size

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        """All files, those being fetched too; only while the names are locked."""
        for path in (*self.folder.glob("*/*"), *self.folder.glob(".*")):
            with suppress(FileNotFoundError):  # a fetch that ended a moment ago
                if path.name != LOCK:
                    yield path, path.stat()


def _lock_shared(path: Path, size: int) -> int | None:
    """A descriptor that keeps the file from being removed; None when it is not there, or not of that size."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    if _is_still(path, descriptor) and os.fstat(descriptor).st_size == size:
        return descriptor
    os.close(descriptor)
    return None


def _is_whole(path: Path, size: int) -> bool:
    return path.exists() and path.stat().st_size == size


def _remove_unused(path: Path) -> bool:
    """Remove the file, and its folder, unless somebody reads it; whether it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_still(path, descriptor):
            path.unlink()
            if _SHA256.fullmatch(path.parent.name):
                path.parent.rmdir()
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:  # another file of that digest
            raise DiskProblem(path, os.strerror(error.errno or 0)) from error
    finally:
        os.close(descriptor)
    return True


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the open file is the one at `path`: it may have been removed or replaced before it was locked."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
