"""Results in S3, for workers on several machines that share a database and a bucket but no disk.

backtests/{task_id}[.r2]/...    a result; its manifest is sent last, so where there is one all is there
trash/{name}.{seconds}          a note that this result is not needed; a week later its objects go, then the note

Nothing is moved, as S3 cannot: a result in the trash stays readable where it is until it goes.
"""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from uuid import UUID

from storage_core import manifest, modes, result_folders
from storage_core.db import utc_now
from storage_core.errors import ResultDamaged, ResultMissing
from storage_core.files import sha256_file
from storage_core.models import Backtest
from storage_core.object_cache import FileCache
from storage_core.object_errors import ObjectDamaged, ObjectNotFound
from storage_core.object_provider import StorageProvider, again_when_damaged
from storage_core.result_base import Files, ResultRoot
from storage_core.result_folders import BACKTESTS, TRASH_DAYS, ResultFolder

T = TypeVar("T")
TRASH = "trash"
_TRASHED = re.compile(rf"{TRASH}/(.+)\.([0-9]{{10,}})")


class S3ResultRoot(ResultRoot):
    """Results as objects, read through a cache on this machine."""

    def __init__(self, results_dir: Path, provider: StorageProvider, cache: FileCache) -> None:
        super().__init__(results_dir)
        self.base = Path()
        self.provider, self.cache = provider, cache

    def free_name(self, task_id: UUID, attempt: int, *, after: int = 0) -> ResultFolder:
        """The first free revision from the number of the attempt on: no other attempt begins there."""
        taken = set(self._places(f"{BACKTESTS}/{task_id}"))
        revision = max(attempt, after + 1)
        while (folder := result_folders.named(Path(BACKTESTS), task_id, revision)).parquet_path in taken:
            revision += 1
        return folder

    def take_name(self, staging: Path, folder: ResultFolder, *, on_step: Callable[[str], None]) -> bool:
        """Send each file and read it back; the manifest last."""
        for path in sorted(staging.iterdir(), key=lambda path: (path.name == manifest.MANIFEST, path.name)):
            self._send(folder.parquet_path + path.name, path)
            on_step(f"sent {path.stem}")
        return True

    def flush(self, folder: ResultFolder) -> None:
        """S3 has done that before it answers."""

    def result_folders(self) -> tuple[list[ResultFolder], list[str]]:
        """One listing of everything; the sizes in it serve `verify`."""
        trashed = {name for name, _ in self._trash()}
        found, foreign = [], []
        for place, sizes in self._places(f"{BACKTESTS}/").items():
            folder = result_folders.parsed(Path(place))
            if folder is None or folder.parquet_path != place:
                foreign.append(place)
            elif folder.path.name not in trashed:
                found.append(replace(folder, sizes=sizes))
        return sorted(found, key=lambda folder: (str(folder.task_id), -folder.revision)), sorted(foreign)

    def is_there(self, folder: ResultFolder) -> bool:
        """Whether there are objects, and no note that they are not needed."""
        if any(self.provider.list(f"{TRASH}/{folder.path.name}.")):
            return False
        return folder.parquet_path in self._places(folder.parquet_path)

    def to_trash(self, folder: Path, *, now: datetime | None = None) -> None:
        """Note that it is not needed."""
        seconds = int((now or utc_now()).timestamp())
        self.provider.upload(f"{TRASH}/{folder.name}.{seconds:010d}", io.BytesIO())

    def empty_trash(
        self, *, needed: Callable[[str], bool], now: datetime | None = None, dry_run: bool = False
    ) -> list[str]:
        """Remove objects whose note is a week old; a result that a row names after all loses the note instead."""
        before, gone = (now or utc_now()) - timedelta(days=TRASH_DAYS), []
        for name, (note, noted) in sorted(self._trash(), key=str):
            if noted >= before:
                continue
            place = f"{BACKTESTS}/{name}/"
            if not needed(place):
                gone.append(Path(note).name)
                for info in [] if dry_run else sorted(self.provider.list(place), key=_manifest_first):
                    self.provider.delete(info.key)
            if not dry_run:
                self.provider.delete(note)
        return gone

    def manifest(self, folder: ResultFolder) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """The manifest object."""
        key, target = folder.parquet_path + manifest.MANIFEST, io.BytesIO()
        try:
            self.provider.download(key, target)
        except ObjectNotFound as error:
            raise ResultDamaged(self._called(key), "it does not exist") from error
        return manifest.parse(target.getvalue(), self._called(key))

    def has_manifest(self, folder: ResultFolder) -> bool:
        """By the listing of `result_folders` or, where it is older than the manifest, another."""
        if folder.sizes is not None and manifest.MANIFEST in folder.sizes:
            return True
        return manifest.MANIFEST in self._places(folder.parquet_path).get(folder.parquet_path, {})

    def called(self, folder: ResultFolder, name: str) -> str:
        """The address of the object."""
        return self._called(folder.parquet_path + name)

    @contextmanager
    def opened(self, folder: ResultFolder, name: str) -> Iterator[Path]:
        """A copy, gone with the block."""
        key = folder.parquet_path + name
        with TemporaryDirectory(prefix="coin-hts-") as place:
            try:
                self.provider.download(key, Path(place) / name)
            except ObjectNotFound as error:
                raise FileNotFoundError(self._called(key)) from error
            yield Path(place) / name

    def verify(self, folder: ResultFolder, files: Files, *, deep: bool = True) -> None:
        """Sizes by the listing of `result_folders` or, where that is older than the result, another; then contents."""
        place = folder.parquet_path
        if not modes.complete(files):
            expected = sorted(modes.FILES[modes.PARQUET])
            raise ResultDamaged(self._called(place), f"files were noted for {sorted(files)}, not for {expected}")
        if folder.sizes is None or any(_size_problems(folder.sizes, files)):
            for name, problem in _size_problems(self._places(place).get(place, {}), files):
                raise ResultDamaged(self._called(place + name), problem)
        for name, facts in files.items() if deep else ():
            self._verify(place + modes.file_name(name), facts["sha256"])

    def read(self, backtest: Backtest, table: str, read: Callable[[Path], T]) -> T:
        """The cached file, fetched when it is not there; fetched once more when it cannot be read."""
        key = self.of_row(backtest).parquet_path + modes.file_name(table)
        facts = (backtest.metadata_.get("files") or {}).get(table)
        if facts is None:
            raise ResultMissing(backtest.task_id, self._called(key))
        try:
            return self._read_cached(key, facts, read)
        except ObjectNotFound as error:
            raise ResultMissing(backtest.task_id, self._called(key)) from error
        except ObjectDamaged as error:
            raise ResultDamaged(self._called(key), error.problem) from error

    def remove_unfinished(self, *, before: datetime, dry_run: bool = False) -> Sequence[str]:
        """Parts of large objects, which no listing shows."""
        return self.provider.remove_unfinished(before=before, dry_run=dry_run)

    def close(self) -> None:
        """Close the connections."""
        self.provider.close()

    def _read_cached(self, key: str, facts: Mapping[str, Any], read: Callable[[Path], T]) -> T:
        digest = facts["sha256"]

        def fetch(path: Path) -> None:
            self.provider.download(key, path, sha256=digest)

        wanted = (digest, Path(key).name, facts["bytes"], fetch)
        try:
            with self.cache.held(*wanted) as path:
                return read(path)
        except ResultDamaged:
            self.cache.drop(digest, Path(key).name)
        except FileNotFoundError:
            pass  # another reader found it damaged, and dropped it
        with self.cache.held(*wanted) as path:
            return read(path)

    def _send(self, key: str, path: Path) -> None:
        digest = sha256_file(path)

        def send() -> None:
            self.provider.upload(key, path, sha256=digest)
            self.provider.verify(key, sha256=digest)

        again_when_damaged(send)

    def _verify(self, key: str, digest: str) -> None:
        try:
            self.provider.verify(key, sha256=digest)
        except ObjectNotFound as error:
            raise ResultDamaged(self._called(key), "it does not exist") from error
        except ObjectDamaged as error:
            raise ResultDamaged(self._called(key), "its sha256 is not the one that was stored") from error

    def _places(self, prefix: str) -> dict[str, dict[str, int]]:
        """The files and their sizes in each place under `prefix`."""
        places: dict[str, dict[str, int]] = defaultdict(dict)
        for info in self.provider.list(prefix):
            place, _, name = info.key.rpartition("/")
            places[f"{place}/"][name] = info.size
        return dict(places)

    def _trash(self) -> list[tuple[str, tuple[str, datetime]]]:
        """Of each result in the trash: its name, the key of its note and when that was written."""
        notes = (_TRASHED.fullmatch(info.key) for info in self.provider.list(f"{TRASH}/"))
        return [(note[1], (note[0], datetime.fromtimestamp(int(note[2]), UTC))) for note in notes if note]

    def _called(self, key: str) -> str:
        return f"{self.provider.where}/{key}"


def _size_problems(sizes: Mapping[str, int], files: Files) -> Iterator[tuple[str, str]]:
    for name, facts in files.items():
        size = sizes.get(modes.file_name(name))
        if size is None:
            yield modes.file_name(name), "it does not exist"
        elif size != facts["bytes"]:
            yield modes.file_name(name), f"it has {size} bytes, {facts['bytes']} were stored"


def _manifest_first(info: Any) -> tuple[bool, str]:
    """A place whose manifest is gone is no result any more, whatever else is still there."""
    return not info.key.endswith(f"/{manifest.MANIFEST}"), info.key
