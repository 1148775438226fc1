"""Moving bytes in pieces: nothing here ever holds more of an object than one piece."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, Protocol

PIECE = 1024 * 1024


class Readable(Protocol):
    """Anything that can be read from: a file, a stream of an object."""

    def read(self, size: int, /) -> bytes | None:
        """At most `size` bytes; none at the end."""


class Digest(Protocol):
    """A digest of hashlib."""

    def update(self, data: bytes, /) -> None:
        """Take in more bytes."""

    def hexdigest(self) -> str:
        """The digest of the bytes so far."""


def opened(source: Path | BinaryIO) -> AbstractContextManager[BinaryIO]:
    """The stream of a source: a file is opened and closed, a stream is only lent."""
    return source.open("rb") if isinstance(source, Path) else nullcontext(source)


def copied(source: Readable, write: Callable[[bytes], object], digest: Digest) -> int:
    """Pass all of `source` to `write` and `digest`, piece by piece; returns the number of bytes."""
    size = 0
    while data := source.read(PIECE):
        digest.update(data)
        write(data)
        size += len(data)
    return size


def read_full(source: Readable, size: int) -> bytes:
    """Exactly `size` bytes, fewer only at the end; pipes and sockets give less at a time than one asks for."""
    pieces, missing = [], size
    while missing and (data := source.read(min(missing, PIECE))):
        pieces.append(data)
        missing -= len(data)
    return b"".join(pieces)
