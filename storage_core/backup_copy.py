"""Sending what the store does not hold yet, a few files at once; each by its digest, so that nothing is sent twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO, cast

from storage_core.backup_errors import FileUnreadable
from storage_core.backup_index import FileIndex
from storage_core.backup_manifest import RESULTS, BackedUpFile, Content, Problem
from storage_core.backup_sources import Source
from storage_core.backup_store import BackupStore
from storage_core.backup_watcher import Progress
from storage_core.object_errors import ObjectChanged, ObjectDamaged
from storage_core.object_streams import copied
from storage_core.parallel import in_parallel

TRIES = 3


@dataclass(slots=True)
class Copying:
    """What was added to the store, and what could not be read."""

    added_count: int = 0
    added_bytes: int = 0
    reasons: dict[str, str] = field(default_factory=dict)

    def problems(self) -> tuple[Problem, ...]:
        """By path."""
        return tuple(Problem(path, reason) for path, reason in sorted(self.reasons.items()))


@dataclass(frozen=True, slots=True)
class _Task:
    """One file to deal with: `known` when the store holds it already, `noted` when its digest is known."""

    path: str
    noted: Content | None
    known: Content | None = None
    stamp: str | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    content: Content | None
    added: bool = False
    problem: str = ""


def copy_all(store: BackupStore, index: FileIndex, sources: Mapping[str, Source], *, on_progress: Progress) -> Copying:
    """Bring every wanted file into the store and note it as held; raises what concerns more than one file."""
    report, total = Copying(), index.count_wanted()
    with closing(in_parallel(partial(_dealt_with, store, sources), _tasks(index, sources))) as answers:
        for done, (task, answer) in enumerate(answers, 1):
            if answer.problem:
                report.reasons[task.path] = answer.problem
            elif answer.content is not None:
                index.hold(BackedUpFile(task.path, answer.content, task.stamp))
                report.added_count += answer.added
                report.added_bytes += answer.content.bytes if answer.added else 0
            on_progress(done, total, len(report.reasons))
    return report


def _tasks(index: FileIndex, sources: Mapping[str, Source]) -> Iterator[_Task]:
    """What can be settled without reading the file is settled here."""
    for path, noted in index.wanted():
        if noted is not None:
            yield _Task(path, noted, known=noted if index.is_present(noted) else None)
            continue
        group, _, name = path.partition("/")
        stamp = sources[group].stamp(name)  # before the bytes are read: never newer than they are
        before = index.unchanged(path, stamp) if stamp else None
        yield _Task(path, None, known=before if before and index.is_present(before) else None, stamp=stamp)


def _dealt_with(store: BackupStore, sources: Mapping[str, Source], task: _Task) -> _Answer:
    if task.known is not None:
        return _Answer(task.known)
    group, _, name = task.path.partition("/")
    try:
        if task.noted is not None:
            return _send(store, sources[group], name, task.noted.sha256)
        return _send_unknown(store, sources[group], name)
    except FileNotFoundError:
        deleted_meanwhile = task.noted is None and group != RESULTS  # no row needs it, and it was there a moment ago
        return _Answer(None, problem="" if deleted_meanwhile else "it does not exist")
    except ObjectDamaged as error:
        return _Answer(None, problem=f"it is damaged: its sha256 is {error.was}, {error.expected} was stored")
    except FileUnreadable as error:
        return _Answer(None, problem=f"it cannot be read ({error.problem})")


def _send(store: BackupStore, source: Source, name: str, sha256: str) -> _Answer:
    with _opened(source, name) as stream:
        return _Answer(store.put(cast(BinaryIO, _Reading(stream)), sha256), added=True)


def _send_unknown(store: BackupStore, source: Source, name: str) -> _Answer:
    """Digest first, as the store may hold it already; a file that is replaced in between is looked at again."""
    for attempt in range(TRIES):
        digest = hashlib.sha256()
        try:
            with _opened(source, name) as stream:
                size = copied(_Reading(stream), len, digest)
            content = Content(digest.hexdigest(), size)
            if store.provider.exists(store.key(content.sha256)):
                return _Answer(content)
            return _send(store, source, name, content.sha256)
        except (ObjectDamaged, ObjectChanged):
            if attempt == TRIES - 1:
                raise
    raise AssertionError("the last attempt answers or raises")


def _opened(source: Source, name: str) -> BinaryIO:
    try:
        return source.open(name)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise FileUnreadable(name, error.strerror or str(error)) from error


class _Reading:
    """A stream whose errors are told from those of the store that it is sent to."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except OSError as error:
            raise FileUnreadable("", error.strerror or str(error)) from error

    def fileno(self) -> int:
        return self._stream.fileno()
