"""Where the files of a backup come from: results, bars and own strategies, in folders of this machine or in S3.

A result that is put away while the backup runs is read from the trash, where it stays for a week: so every row of the
dump has its files in the backup, whatever is deleted or purged meanwhile.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from storage_core import manifest, modes
from storage_core.backup_database import Snapshot
from storage_core.backup_index import FileIndex
from storage_core.backup_manifest import BARS, RESULTS, STRATEGIES, Content
from storage_core.object_errors import ObjectNotFound
from storage_core.object_keys import key_problem
from storage_core.object_provider import StorageProvider
from storage_core.result_folders import TRASH
from storage_core.settings import Settings

BarsInS3 = tuple[str, str, Content]
"""Symbol, timeframe and the content that counts."""
_LEFT_OUT = ("__pycache__", "node_modules")


class Source(ABC):
    """Files of one group. A path is as in the list of the backup, without the name of the group."""

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
        return (name for name in self._names() if not key_problem(name))

    def unnameable(self) -> Iterator[tuple[str, str]]:
        """Those of them whose name no backup can have: the name, written so that it can be read, and why."""
        for name in self._names():
            if problem := key_problem(name):
                yield name.encode(errors="backslashreplace").decode(), problem

    def _names(self) -> Iterator[str]:
        for path in sorted(self._root.rglob("*")):
            name = path.relative_to(self._root)
            hidden = any(part.startswith(".") or part in _LEFT_OUT for part in name.parts)
            if not hidden and path.is_file():
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
        self._provider, self._group, self._index = provider, group, index
        listing = provider.list(f"{prefix}/")
        index.add_listed(
            (f"{group}/{info.key}", info.size, f"{info.size}-{info.etag or info.modified.isoformat()}")
            for info in listing
        )

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


class BarObjects(Source):
    """Bars in S3: of each path the one object that the database names. An object of bars never changes."""

    def __init__(self, provider: StorageProvider, keys: Mapping[str, str]) -> None:
        self._provider, self._keys = provider, keys

    def stamp(self, path: str) -> str | None:
        """Its key, which holds its digest."""
        return self._keys.get(path)

    def open(self, path: str) -> BinaryIO:
        """The object."""
        try:
            return cast(BinaryIO, io.BufferedReader(self._provider.open(self._keys[path])))
        except ObjectNotFound as error:
            raise FileNotFoundError(path) from error


def folders(settings: Settings) -> dict[str, FolderSource]:
    """The groups that lie in folders of this machine, and say themselves what there is."""
    found = {STRATEGIES: FolderSource(settings.strategies_dir or settings.data_dir / STRATEGIES)}
    return found if settings.results_bucket is not None else {**found, BARS: FolderSource(settings.bars_dir)}


def sources(settings: Settings, index: FileIndex, bars: Sequence[BarsInS3]) -> Mapping[str, Source]:
    """The source of each group as the settings say. Raises ObjectError when S3 cannot be listed."""
    if settings.results_bucket is None:
        return {**folders(settings), RESULTS: FolderSource(settings.results_dir)}
    from storage_core.object_store import provider_for
    from storage_core.result_folders import BACKTESTS

    provider = provider_for(settings.results_bucket, settings)
    keys = {bars_path(symbol, timeframe): bars_key(symbol, timeframe, held.sha256) for symbol, timeframe, held in bars}
    results = ObjectSource(provider, RESULTS, BACKTESTS, index)
    return {**folders(settings), RESULTS: results, BARS: BarObjects(provider, keys)}


def bars_path(symbol: str, timeframe: str) -> str:
    """How a file of bars is called below `bars`, in a folder and in every backup."""
    return f"{symbol}_{timeframe}.parquet"


def bars_key(symbol: str, timeframe: str, sha256: str) -> str:
    """The object of S3 that holds it."""
    return f"{BARS}/{symbol}_{timeframe}/{sha256}.parquet"


def result_files(snapshot: Snapshot) -> Iterator[tuple[str, Content | None]]:
    """Every file of every result that the database names, with what its row notes of the content."""
    for _, place, files in snapshot.results():
        folder = f"{RESULTS}/{place.rstrip('/')}"
        yield f"{folder}/{manifest.MANIFEST}", None
        for name, facts in (files or dict.fromkeys(modes.FILES[modes.PARQUET])).items():
            yield f"{folder}/{modes.file_name(name)}", facts and Content(facts["sha256"], facts["bytes"])


def bar_files(settings: Settings, bars: Sequence[BarsInS3]) -> Iterator[tuple[str, Content | None]]:
    """The bars that the database names; none when they lie in a folder, which itself says what there is."""
    if settings.results_bucket is not None:
        yield from ((f"{BARS}/{bars_path(symbol, timeframe)}", content) for symbol, timeframe, content in bars)


def other_files(settings: Settings) -> Iterator[tuple[str, Content | None]]:
    """Own strategies, and bars in a folder; nothing is noted of their contents."""
    for group, source in folders(settings).items():
        yield from ((f"{group}/{path}", None) for path in source.paths())


def unnameable(settings: Settings) -> dict[str, str]:
    """Files of those folders that no backup can hold because of their names, and why."""
    return {
        f"{group}/{name}": f"its name cannot be kept: {problem}"
        for group, source in folders(settings).items()
        for name, problem in source.unnameable()
    }
