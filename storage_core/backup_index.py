"""The working memory of a backup, a verify or a prune: on disk, so that a million files need no memory.

It is made anew each time and thrown away at the end; nothing depends on what an earlier one held.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from storage_core.backup_manifest import BackedUpFile, Content

_TABLES = """
CREATE TABLE present (sha256 TEXT PRIMARY KEY, bytes INTEGER, modified REAL) WITHOUT ROWID;
CREATE TABLE earlier (path TEXT PRIMARY KEY, bytes INTEGER, sha256 TEXT, stamp TEXT) WITHOUT ROWID;
CREATE TABLE listed (path TEXT PRIMARY KEY, bytes INTEGER, stamp TEXT) WITHOUT ROWID;
CREATE TABLE wanted (path TEXT PRIMARY KEY, bytes INTEGER, sha256 TEXT) WITHOUT ROWID;
CREATE TABLE held (path TEXT PRIMARY KEY, bytes INTEGER, sha256 TEXT, stamp TEXT) WITHOUT ROWID;
CREATE TABLE named (sha256 TEXT PRIMARY KEY, bytes INTEGER) WITHOUT ROWID;
"""
BATCH = 1_000


class FileIndex:
    """Tables of files and contents. For one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = sqlite3.connect(path, isolation_level=None)

    def __enter__(self) -> Self:
        self._db.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_TABLES}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
        self._path.unlink(missing_ok=True)

    def add_present(self, contents: Iterable[tuple[Content, float]]) -> None:
        """What lies in the store, and when it came there; replaces what was known."""
        self._db.execute("DELETE FROM present")
        self._many("present", 3, ((content.sha256, content.bytes, modified) for content, modified in contents))

    def is_present(self, content: Content) -> bool:
        """Whether the store holds a content, with all its bytes."""
        found = self._one("SELECT bytes FROM present WHERE sha256 = ?", content.sha256)
        return found is not None and bool(found[0] == content.bytes)

    def add_earlier(self, files: Iterable[BackedUpFile]) -> None:
        """The files of an earlier backup."""
        self._many("earlier", 4, map(_row, files))

    def unchanged(self, path: str, stamp: str) -> Content | None:
        """The content of a file that had the same stamp then."""
        found = self._one("SELECT sha256, bytes FROM earlier WHERE path = ? AND stamp = ?", path, stamp)
        return Content(*found) if found else None

    def add_listed(self, files: Iterable[tuple[str, int, str]]) -> None:
        """A listing of where files come from: path, bytes, stamp."""
        self._many("listed", 3, files)

    def listed(self, path: str) -> tuple[int, str] | None:
        """Bytes and stamp of a file of that listing."""
        found: tuple[int, str] | None = self._one("SELECT bytes, stamp FROM listed WHERE path = ?", path)
        return found

    def want(self, files: Iterable[tuple[str, Content | None]]) -> None:
        """Files that the backup must hold; None where nothing is noted of their content."""
        plain = ((path, noted and noted.bytes, noted and noted.sha256) for path, noted in files)
        self._many("wanted", 3, plain)

    def wanted(self) -> Iterator[tuple[str, Content | None]]:
        """All wanted files, by path."""
        for path, size, sha256 in self._db.execute("SELECT path, bytes, sha256 FROM wanted ORDER BY path"):
            yield path, None if sha256 is None else Content(sha256, size)

    def count_wanted(self) -> int:
        """How many files are wanted."""
        return int(self._one("SELECT count(*) FROM wanted")[0])

    def hold(self, file: BackedUpFile) -> None:
        """A file whose content the store holds."""
        self._many("held", 4, [_row(file)])

    def held(self) -> Iterator[BackedUpFile]:
        """All of them, by path: the list of the backup."""
        for path, size, sha256, stamp in self._db.execute("SELECT * FROM held ORDER BY path"):
            yield BackedUpFile(path, Content(sha256, size), stamp)

    def totals_held(self) -> tuple[int, int]:
        """Files and bytes."""
        count, size = self._one("SELECT count(*), coalesce(sum(bytes), 0) FROM held")
        return count, size

    def count_results(self) -> int:
        """How many results are held: of each there is one manifest."""
        return int(self._one("SELECT count(*) FROM held WHERE path GLOB 'results/backtests/*/metadata.json'")[0])

    def held_not_present(self) -> Iterator[Content]:
        """Contents that the backup counts on and the store does not hold."""
        query = """SELECT DISTINCT sha256, bytes FROM held WHERE NOT EXISTS
            (SELECT 1 FROM present WHERE present.sha256 = held.sha256 AND present.bytes = held.bytes)"""
        yield from (Content(*row) for row in self._db.execute(query))

    def name(self, contents: Iterable[Content]) -> None:
        """What backups name."""
        self._many("named", 2, ((content.sha256, content.bytes) for content in contents))

    def named(self) -> Iterator[Content]:
        """Each content that some backup names, once."""
        yield from (Content(*row) for row in self._db.execute("SELECT sha256, bytes FROM named ORDER BY sha256"))

    def count_named(self) -> int:
        """How many contents are named."""
        return int(self._one("SELECT count(*) FROM named")[0])

    def not_named(self) -> Iterator[tuple[Content, float]]:
        """What lies in the store and no backup names, and since when."""
        query = """SELECT sha256, bytes, modified FROM present WHERE NOT EXISTS
            (SELECT 1 FROM named WHERE named.sha256 = present.sha256)"""
        yield from ((Content(sha256, size), modified) for sha256, size, modified in self._db.execute(query))

    def _one(self, query: str, *values: object) -> Any:
        return self._db.execute(query, values).fetchone()

    def _many(self, table: str, columns: int, rows: Iterable[tuple[object, ...]]) -> None:
        """Insert in transactions of some rows; `rows` may read from this index."""
        statement = f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * columns)})"  # noqa: S608
        source = iter(rows)
        while batch := list(islice(source, BATCH)):
            self._db.execute("BEGIN")
            self._db.executemany(statement, batch)
            self._db.execute("COMMIT")


def _row(file: BackedUpFile) -> tuple[object, ...]:
    return file.path, file.content.bytes, file.content.sha256, file.stamp
