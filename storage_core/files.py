"""Crash-safe writing: a file is either there, whole and on the disk, or it is not there.

Everything is written beside its place, flushed to the disk, and moved there by one rename; then the folder itself is
flushed, as a rename is durable only when the folder is.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from storage_core.errors import DiskProblem

ABANDONED_AFTER = 3600  # seconds: longer than writing any one file takes


@contextmanager
def disk_problems(path: Path) -> Iterator[None]:
    """Turn what the file system says in this block (full, read-only, not permitted) into a DiskProblem of `path`."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise DiskProblem(path, reason) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write; at the end it is flushed and takes the place of `path`. Raises DiskProblem."""
    with disk_problems(path), _temporary(path) as temporary:
        yield temporary
        fsync_file(temporary)
        temporary.replace(path)
        fsync_dir(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, whole or not at all. Raises DiskProblem."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def create_bytes(path: Path, data: bytes) -> bool:
    """Create `path` with `data`, whole; False when it was there already, which changes nothing. Raises DiskProblem."""
    with disk_problems(path), _temporary(path) as temporary:
        temporary.write_bytes(data)
        fsync_file(temporary)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        fsync_dir(path.parent)
        return True


def remove_leftovers(path: Path) -> None:
    """Remove what writers of `path` that were killed an hour ago or more left beside it. Raises DiskProblem."""
    with disk_problems(path):
        for left in path.parent.glob(f".{escape(path.name)}.*"):
            with suppress(FileNotFoundError):  # its writer has just ended
                if left.stat().st_mtime < time.time() - ABANDONED_AFTER:
                    left.unlink()


def fsync_file(path: Path) -> None:
    """Flush the content of `path` to the disk."""
    _fsync(path, os.O_RDONLY)


def fsync_dir(path: Path) -> None:
    """Flush the names in the folder `path` to the disk: makes renames, links and removals in it durable."""
    _fsync(path, os.O_RDONLY | os.O_DIRECTORY)


def sha256_file(path: Path) -> str:
    """The sha256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file `path` among all processes of this machine; a dead process holds none."""
    with disk_problems(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(descriptor)
    temporary = Path(name)
    temporary.chmod(0o644)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _fsync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
