"""What a backup consists of: the manifest, and the list of files that it names.

The manifest is small and its own sha256 stands in it. The list has one line of JSON for each file, in the order of
their paths, packed with gzip; it is an object like the files themselves.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from storage_core.backup_errors import BackupDamaged, UnknownFormat
from storage_core.files import disk_problems, fsync_file

FORMAT = 1
RESULTS, BARS, STRATEGIES = "results", "bars", "strategies"
GROUPS = (RESULTS, BARS, STRATEGIES)
"""What the path of a file begins with: also the folder of DATA_DIR into which it is restored."""
_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z(-[2-9])?")
_RESULT = re.compile(rf"{RESULTS}/backtests/([0-9a-f-]{{36}})(?:\.r[0-9]+)?/.+")


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes, by their digest."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class BackedUpFile:
    """A file and its content. `stamp` changes with the file: equal stamps, equal bytes (None: not known)."""

    path: str
    content: Content
    stamp: str | None = None

    @property
    def task_id(self) -> UUID | None:
        """The backtest whose result this is part of."""
        return task_of(self.path)


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that the backup should hold and does not."""

    path: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseDump:
    """The dump and what must be in it: rows of each table, and a digest of some of them."""

    kind: str
    content: Content
    program: str
    revision: str | None
    tables: dict[str, int]
    samples: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A backup. `files` is the list; `added` counts what the store did not hold before."""

    id: str
    created_at: datetime
    seconds: float
    product_version: str
    database: DatabaseDump
    files: Content
    file_count: int
    file_bytes: int
    result_count: int
    added_count: int
    added_bytes: int
    problems: tuple[Problem, ...] = field(default=())

    @property
    def total_bytes(self) -> int:
        """Of everything that a restore fetches."""
        return self.file_bytes + self.database.content.bytes + self.files.bytes


def new_id(now: datetime, taken: Iterable[str]) -> str:
    """The id of a backup that begins now: the UTC time, and a number in the rare case that it is taken."""
    plain, known = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}", set(taken)
    return next(name for name in (plain, *(f"{plain}-{number}" for number in range(2, 10))) if name not in known)


def is_id(text: str) -> bool:
    """Whether `new_id` gives such names."""
    return _ID.fullmatch(text) is not None


def task_of(path: str) -> UUID | None:
    """The backtest whose result has this path in a backup."""
    found = _RESULT.fullmatch(path)
    try:
        return UUID(found[1]) if found else None
    except ValueError:
        return None


def dump(manifest: Manifest) -> bytes:
    """The manifest as JSON, its sha256 first."""
    document = asdict(manifest) | {"created_at": manifest.created_at.isoformat(), "format": FORMAT}
    return (json.dumps({"sha256": _digest(document), "backup": document}, indent=1, ensure_ascii=False) + "\n").encode()


def parse(data: bytes, where: str) -> Manifest:
    """The manifest that lies at `where`. Raises BackupDamaged and UnknownFormat."""
    try:
        outer = json.loads(data)
        document: dict[str, Any] = outer["backup"]
        if _digest(document) != outer["sha256"]:
            raise BackupDamaged(where, "its sha256 is not the one that stands in it")
        if document["format"] != FORMAT:
            raise UnknownFormat(where, document["format"], FORMAT)
        return _manifest(document)
    except (ValueError, KeyError, TypeError) as error:
        raise BackupDamaged(where, f"it is not a manifest ({type(error).__name__}: {error})") from error


def write_list(path: Path, files: Iterable[BackedUpFile]) -> None:
    """Write the list, the same bytes for the same files. Raises DiskProblem."""
    with disk_problems(path):
        with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as packed:
            for file in files:
                line = [file.path, file.content.bytes, file.content.sha256, file.stamp]
                packed.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        fsync_file(path)


def read_list(stream: IO[bytes], where: str) -> Iterator[BackedUpFile]:
    """The files of a list, one at a time. Raises BackupDamaged."""
    try:
        with gzip.GzipFile(fileobj=stream) as lines:
            for line in lines:
                path, size, sha256, stamp = json.loads(line)
                yield BackedUpFile(path, Content(sha256, size), stamp)
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise BackupDamaged(where, f"the list of files cannot be read ({error})") from error


def _manifest(document: dict[str, Any]) -> Manifest:
    values = {name: value for name, value in document.items() if name != "format"}
    database = values["database"] | {"content": Content(**values["database"]["content"])}
    values |= {
        "created_at": datetime.fromisoformat(values["created_at"]),
        "database": DatabaseDump(**database),
        "files": Content(**values["files"]),
        "problems": tuple(Problem(**one) for one in values["problems"]),
    }
    return Manifest(**values)


def _digest(document: dict[str, Any]) -> str:
    plain = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(plain.encode()).hexdigest()
