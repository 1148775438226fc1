"""StorageProvider: what can be done with objects under a root, in a local folder or in S3 alike.

An object appears whole or not at all, and replaces an older one in one step. Everything streams in pieces of a few
megabytes. The errors are those of `object_errors`, each naming the root and the key; DiskProblem when a local disk is
full. What is worth another try is tried again with growing pauses before it is raised.
"""

from __future__ import annotations

import hashlib
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, TypeVar

from storage_core.files import replacing
from storage_core.object_errors import ObjectDamaged, ObjectNotFound
from storage_core.object_streams import Digest, copied

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store knows of an object without reading it. `md5` only where the store's ETag surely is one."""

    key: str
    size: int
    modified: datetime
    etag: str | None = None
    md5: str | None = None


@dataclass(frozen=True, slots=True)
class Transferred:
    """What was sent or received: the number of bytes and their digest."""

    size: int
    sha256: str


class StorageProvider(ABC):
    """Objects under one root, `where`. Safe to share between threads, and usable again after `close`."""

    where: str

    @abstractmethod
    def upload(self, key: str, source: Path | BinaryIO, *, sha256: str | None = None) -> Transferred:
        """Store a file or a stream under `key`. With `sha256`, other bytes never appear: raises ObjectDamaged."""

    @abstractmethod
    def open(self, key: str, *, start: int = 0) -> io.RawIOBase:
        """A stream of the object's bytes from `start` on; the caller closes it. Raises ObjectNotFound."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object; none with that key is no error."""

    @abstractmethod
    def list(self, prefix: str = "", *, page_size: int = 1000) -> Iterator[ObjectInfo]:
        """All objects whose key begins with `prefix`, in no promised order, one page in memory at a time."""

    @abstractmethod
    def metadata(self, key: str) -> ObjectInfo:
        """Size, time and, in S3, ETag of an object. Raises ObjectNotFound."""

    @abstractmethod
    def remove_unfinished(self, *, before: datetime, dry_run: bool = False) -> Sequence[str]:
        """Discard uploads that began before that instant and never ended; returns their names."""

    def close(self) -> None:  # noqa: B027
        """Give connections back."""

    def exists(self, key: str) -> bool:
        """Whether there is an object with this key now."""
        try:
            self.metadata(key)
        except ObjectNotFound:
            return False
        return True

    def download(self, key: str, target: Path | BinaryIO, *, sha256: str | None = None) -> Transferred:
        """Fetch an object to a file, which appears whole or not at all, or into a stream.

        With `sha256`, raises ObjectDamaged for other bytes: for a file before it appears, for a stream at the end.
        """
        if isinstance(target, Path):
            return again_when_damaged(lambda: self._to_file(key, target, sha256))
        return self._received(key, target.write, sha256)

    def verify(self, key: str, *, sha256: str | None = None, md5: str | None = None) -> None:
        """Compare an object with a digest noted earlier. Raises ObjectDamaged, ObjectNotFound.

        `sha256` reads all of it again. `md5` trusts the store's ETag where that is an MD5, and reads otherwise.
        """
        if sha256 is not None:
            again_when_damaged(lambda: self._received(key, len, sha256))
        if md5 is not None:
            again_when_damaged(lambda: self._compare(key, "MD5", md5, self._md5(key)))

    def __enter__(self) -> StorageProvider:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _to_file(self, key: str, target: Path, sha256: str | None) -> Transferred:
        with replacing(target) as temporary, temporary.open("wb") as file:
            return self._received(key, file.write, sha256)

    def _received(self, key: str, write: Callable[[bytes], object], sha256: str | None) -> Transferred:
        size, digest = self._read(key, write, hashlib.sha256())
        self._compare(key, "sha256", sha256 or digest, digest)
        return Transferred(size, digest)

    def _md5(self, key: str) -> str:
        return self.metadata(key).md5 or self._read(key, len, hashlib.md5(usedforsecurity=False))[1]

    def _read(self, key: str, write: Callable[[bytes], object], digest: Digest) -> tuple[int, str]:
        with self.open(key) as stream:
            return copied(stream, write, digest), digest.hexdigest()

    def _compare(self, key: str, kind: str, expected: str, was: str) -> None:
        if was != expected.lower():
            raise ObjectDamaged(self.where, key, kind=kind, expected=expected, was=was)


def again_when_damaged(read: Callable[[], T]) -> T:
    """A second look at bytes that do not match: the way here may be at fault, not the object."""
    try:
        return read()
    except ObjectDamaged:
        return read()
