"""Objects as files under a folder: written beside their place, flushed, moved there by one rename.

root/{key}                   an object
root/.uploading/{random}     one that is being written
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from storage_core.errors import DiskProblem
from storage_core.files import fsync_dir
from storage_core.object_errors import AccessDenied, BadKey, ObjectDamaged, ObjectNotFound
from storage_core.object_keys import check_key, check_prefix, key_problem
from storage_core.object_provider import ObjectInfo, StorageProvider, Transferred
from storage_core.object_streams import copied, opened

UPLOADING = ".uploading"
MOVES = 20  # a folder can vanish between its making and our rename, when its last object is deleted just then
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR)


class LocalStorageProvider(StorageProvider):
    """Objects as files under `root`, which is made by the first upload."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.where = str(root)

    def upload(self, key: str, source: Path | BinaryIO, *, sha256: str | None = None) -> Transferred:
        """Store a file or a stream; also raises DiskProblem, and BadKey when a part of `key` is itself an object."""
        path = self._path(key)
        with opened(source) as stream, self._problems(key), self._temporary() as temporary:
            digest = hashlib.sha256()
            with temporary.open("xb") as file:
                size = copied(stream, file.write, digest)
                file.flush()
                os.fsync(file.fileno())
            if sha256 is not None and digest.hexdigest() != sha256.lower():
                raise ObjectDamaged(self.where, key, kind="sha256", expected=sha256, was=digest.hexdigest())
            self._move_in(key, temporary, path)
        return Transferred(size, digest.hexdigest())

    def open(self, key: str, *, start: int = 0) -> io.RawIOBase:
        """The file itself."""
        with self._problems(key):
            file = io.FileIO(self._path(key))
            file.seek(start)
        return file

    def delete(self, key: str) -> None:
        """Remove the file, and the folders that it leaves empty."""
        path = self._path(key)
        try:
            with self._problems(key):
                path.unlink()
                fsync_dir(path.parent)
        except ObjectNotFound:
            return
        for folder in path.relative_to(self.root).parents[:-1]:
            try:
                (self.root / folder).rmdir()
            except OSError:
                return  # not empty, or gone: either is fine

    def list(self, prefix: str = "", *, page_size: int = 1000) -> Iterator[ObjectInfo]:
        """The files whose path begins with `prefix`; one folder's names are in memory at a time."""
        check_prefix(self.where, prefix)
        folder = prefix.rpartition("/")[0]
        return self._walk(folder, prefix)

    def metadata(self, key: str) -> ObjectInfo:
        """Size and time of the file."""
        path = self._path(key)
        with self._problems(key):
            status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ObjectNotFound(self.where, key)
        return ObjectInfo(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def remove_unfinished(self, *, before: datetime, dry_run: bool = False) -> Sequence[str]:
        """Remove the files of writers that died."""
        removed = []
        for path in self._names(self.root / UPLOADING):
            with suppress(ObjectNotFound), self._problems(None):  # its writer has just ended
                if path.stat().st_mtime < before.timestamp():
                    removed.append(path.name)
                    if not dry_run:
                        path.unlink(missing_ok=True)
        return removed

    def _path(self, key: str) -> Path:
        return self.root / check_key(self.where, key)

    @contextmanager
    def _temporary(self) -> Iterator[Path]:
        folder = self.root / UPLOADING
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / secrets.token_hex(12)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _move_in(self, key: str, temporary: Path, path: Path) -> None:
        for _ in range(MOVES):
            try:
                self._make_folder(path.parent)
                temporary.replace(path)
                break
            except FileNotFoundError:
                continue
            except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                raise BadKey(self.where, key, "an object and a folder would have the same name") from error
        else:
            raise DiskProblem(path, "its folder is removed again and again")
        with suppress(FileNotFoundError):  # it was there, and has been deleted again
            fsync_dir(path.parent)

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            self._make_folder(folder.parent)
            folder.mkdir(exist_ok=True)
            fsync_dir(folder.parent)

    def _walk(self, folder: str, prefix: str) -> Iterator[ObjectInfo]:
        for path in self._names(self.root / folder):
            key = f"{folder}/{path.name}".lstrip("/")
            if key_problem(key) or not (key.startswith(prefix) or prefix.startswith(key + "/")):
                continue
            if path.is_dir():
                yield from self._walk(key, prefix)
            elif key.startswith(prefix):
                try:
                    yield self.metadata(key)
                except ObjectNotFound:
                    continue  # deleted a moment ago

    def _names(self, folder: Path) -> Sequence[Path]:
        try:
            with self._problems(None):
                return sorted(folder.iterdir())
        except ObjectNotFound:
            return ()

    @contextmanager
    def _problems(self, key: str | None) -> Iterator[None]:
        """Say what the file system says in the words of `object_errors`."""
        try:
            yield
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            if error.errno in _DENIED:
                raise AccessDenied(self.where, key, reason) from error
            if error.errno in _ABSENT:
                raise ObjectNotFound(self.where, key or "") from error
            raise DiskProblem(self.root / (key or ""), reason) from error
