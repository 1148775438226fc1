"""Where the files of a backup come from: results, bars and own strategies, in folders of this machine or in S3.

A result that is put away while the backup runs is read from the trash, where it stays for a week: so every row of the
dump has its files in the backup, whatever is deleted or purged meanwhile.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, cast

from storage_core import manifest, modes
from storage_core.backup_database import Snapshot
from storage_core.backup_index import FileIndex
from storage_core.backup_manifest import BARS, RESULTS, STRATEGIES, Content
from storage_core.object_errors import ObjectNotFound
from storage_core.object_keys import key_problem
from storage_core.object_provider import StorageProvider
from storage_core.object_settings import S3
from storage_core.result_folders import TRASH
from storage_core.settings import Settings

_LEFT_OUT = ("__pycache__", "node_modules")


class Source(ABC):
    """Files of one group. A path is as in the list of the backup, without the name of the group."""

    @abstractmethod
    def paths(self) -> Iterator[str]:
        """All files that are there now."""

    @abstractmethod
    def stamp(self, path: str) -> str | None:
        """Something that changes whenever the file does; None when there is no such file."""

    @abstractmethod
    def open(self, path: str) -> BinaryIO:
        """The bytes. Raises FileNotFoundError, OSError when they cannot be read, and ObjectError."""


class FolderSource(Source):
    """A folder of this machine; what is not there may lie in its trash."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def paths(self) -> Iterator[str]:
        """Files below the folder, without hidden ones and what Python leaves behind."""
        for path in sorted(self._root.rglob("*")):
            name = path.relative_to(self._root)
            if path.is_file() and not key_problem(name.as_posix()) and not set(name.parts) & set(_LEFT_OUT):
                yield name.as_posix()

    def stamp(self, path: str) -> str | None:
        """A file that is replaced is another inode; one that is written to has another time."""
        for candidate in self._places(path):
            try:
                status = candidate.stat()
            except (FileNotFoundError, NotADirectoryError):
                continue
            return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"
        return None

    def open(self, path: str) -> BinaryIO:
        """The file, where it lies now."""
        for candidate in self._places(path):
            try:
                return candidate.open("rb")
            except (FileNotFoundError, NotADirectoryError):
                continue
        raise FileNotFoundError(path)

    def _places(self, path: str) -> Iterator[Path]:
        """Asked again at the end: it may have been moved to the trash, or back, between two looks."""
        place = self._root / path
        yield place
        yield from sorted((self._root / TRASH).glob(f"{place.parent.name}.*/{place.name}"), reverse=True)
        yield place


class ObjectSource(Source):
    """Objects under a prefix, by one listing that the index keeps."""

    def __init__(self, provider: StorageProvider, group: str, prefix: str, index: FileIndex) -> None:
        self._provider, self._group, self._prefix, self._index = provider, group, prefix, index
        listing = provider.list(f"{prefix}/")
        index.add_listed(
            (f"{group}/{info.key}", info.size, f"{info.size}-{info.etag or info.modified.isoformat()}")
            for info in listing
        )

    def paths(self) -> Iterator[str]:
        """Everything under the prefix."""
        start = f"{self._group}/"
        yield from (path.removeprefix(start) for path in self._index.listed_under(f"{start}{self._prefix}/"))

    def stamp(self, path: str) -> str | None:
        """Of the listing."""
        found = self._index.listed(f"{self._group}/{path}")
        return found and found[1]

    def open(self, path: str) -> BinaryIO:
        """The object as it is now."""
        try:
            return cast(BinaryIO, io.BufferedReader(self._provider.open(path)))
        except ObjectNotFound as error:
            raise FileNotFoundError(path) from error


class _Under(Source):
    """Another source, in which all paths begin with `prefix`."""

    def __init__(self, source: Source, prefix: str) -> None:
        self._source, self._prefix = source, f"{prefix}/"

    def paths(self) -> Iterator[str]:
        yield from (path.removeprefix(self._prefix) for path in self._source.paths())

    def stamp(self, path: str) -> str | None:
        return self._source.stamp(self._prefix + path)

    def open(self, path: str) -> BinaryIO:
        return self._source.open(self._prefix + path)


class _Either(Source):
    """Files of two places; where both have one, that of the first."""

    def __init__(self, first: Source, second: Source) -> None:
        self._both = (first, second)

    def paths(self) -> Iterator[str]:
        yield from sorted({path for source in self._both for path in source.paths()})

    def stamp(self, path: str) -> str | None:
        return next((stamp for source in self._both if (stamp := source.stamp(path))), None)

    def open(self, path: str) -> BinaryIO:
        first, second = self._both
        try:
            return first.open(path)
        except FileNotFoundError:
            return second.open(path)


def sources(settings: Settings, index: FileIndex) -> Mapping[str, Source]:
    """The source of each group as the settings say. Raises ObjectError when S3 cannot be listed."""
    strategies = FolderSource(settings.strategies_dir or settings.data_dir / STRATEGIES)
    if settings.results_uri is None or not settings.results_uri.startswith(S3):
        return {
            RESULTS: FolderSource(settings.results_dir),
            BARS: FolderSource(settings.bars_dir),
            STRATEGIES: strategies,
        }
    from storage_core.object_store import provider_for
    from storage_core.result_folders import BACKTESTS

    provider = provider_for(settings.results_uri, settings)
    return {
        RESULTS: ObjectSource(provider, RESULTS, BACKTESTS, index),
        BARS: _Either(_Under(ObjectSource(provider, BARS, BARS, index), BARS), FolderSource(settings.bars_dir)),
        STRATEGIES: strategies,
    }


def result_files(snapshot: Snapshot) -> Iterator[tuple[str, Content | None]]:
    """Every file of every result that the database names, with what its row notes of the content."""
    for _, place, files in snapshot.results():
        folder = f"{RESULTS}/{place.rstrip('/')}"
        yield f"{folder}/{manifest.MANIFEST}", None
        for name, facts in (files or dict.fromkeys(modes.FILES[modes.PARQUET])).items():
            yield f"{folder}/{modes.file_name(name)}", facts and Content(facts["sha256"], facts["bytes"])


def other_files(found: Mapping[str, Source]) -> Iterable[tuple[str, Content | None]]:
    """All bars and own strategies; nothing is noted of them."""
    for group in (BARS, STRATEGIES):
        yield from ((f"{group}/{path}", None) for path in found[group].paths())
