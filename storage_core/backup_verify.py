"""Verifying backups: everything that a backup names is read again and compared with its digest.

A content that several backups share is read once. Nothing is changed, unless damaged contents are to be set aside:
then the next backup sends them anew, as long as the original still exists.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, cast

from storage_core.backup_errors import BackupDamaged, NoSuchBackup, UnknownFormat
from storage_core.backup_index import FileIndex
from storage_core.backup_manifest import Content, Manifest, task_of
from storage_core.backup_store import VERIFIED, BackupStore
from storage_core.backup_watcher import Progress
from storage_core.db import utc_now
from storage_core.object_errors import ObjectDamaged, ObjectNotFound
from storage_core.parallel import in_parallel

DAMAGED, GONE = "damaged", "it is gone"
MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Part:
    """One of `parts` parts of all contents, by their digests: with `turn` 0, 1, ... in turn all are read."""

    parts: int
    turn: int

    def has(self, sha256: str) -> bool:
        """Whether this content belongs to the part."""
        return int(sha256[:12], 16) % self.parts == self.turn % self.parts

    def __str__(self) -> str:
        return f"{self.turn % self.parts + 1} of {self.parts}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One damaged or missing object: what it is in the backups that name it, and a backtest it belongs to."""

    where: str
    problem: str
    paths: tuple[str, ...]
    backups: tuple[str, ...]
    task_id: str | None


@dataclass(slots=True)
class Report:
    """What was read and what was found."""

    backups: list[str] = field(default_factory=list)
    objects: int = 0
    bytes: int = 0
    part: str | None = None
    findings: list[Finding] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def verify(
    store: BackupStore,
    names: Sequence[str] = (),
    *,
    part: Part | None = None,
    set_aside: bool = False,
    now: datetime | None = None,
    on_progress: Progress = lambda done, total, failed: None,
) -> Report:
    """Read these backups (none named: all) again; with `part`, of the contents only those that belong to it.

    Manifests and lists of files are read in any case. A note of what it came to is kept beside each backup. Raises
    NoSuchBackup, and ObjectError when the store cannot be reached.
    """
    report = Report(part=None if part is None else str(part))
    report.backups = [store.find(name) for name in names] or store.ids()
    with TemporaryDirectory(prefix="coin-hts-") as work, FileIndex(Path(work) / "index.sqlite3") as index:
        for name in report.backups:
            report.findings += _name_all(store, index, name)
        problems = _read_again(store, index, report, part, on_progress)
    found = list(_findings(store, report.backups, problems)) if problems else []
    report.findings += found
    for finding in found if set_aside else ():
        _put_aside(store, finding)
    _take_notes(store, report, now or utc_now())
    return report


def damaged_in(report: Report, backup: str) -> list[Finding]:
    """The findings that concern one backup."""
    return [finding for finding in report.findings if backup in finding.backups]


def _name_all(store: BackupStore, index: FileIndex, name: str) -> Iterator[Finding]:
    """Note everything that the backup names; what keeps us from reading that is a finding."""
    try:
        index.name(content for _, content in contents_of(store, store.manifest(name)))
    except NoSuchBackup:
        return  # pruned a moment ago
    except (BackupDamaged, UnknownFormat) as error:
        if name in store.ids():
            problem = error.problem if isinstance(error, BackupDamaged) else str(error)
            yield Finding(error.where, problem, (), (name,), None)


def contents_of(store: BackupStore, manifest: Manifest) -> Iterator[tuple[str, Content]]:
    """Path and content of everything that a backup names. Raises BackupDamaged."""
    yield "database", manifest.database.content
    yield "list of files", manifest.files
    yield from ((file.path, file.content) for file in store.files(manifest))


def _problem(store: BackupStore, content: Content) -> str:
    key = store.key(content.sha256)
    try:
        store.provider.verify(key, sha256=content.sha256)
    except ObjectNotFound:
        return GONE
    except ObjectDamaged as error:
        return f"its sha256 is {error.was}"
    return ""


def _read_again(
    store: BackupStore, index: FileIndex, report: Report, part: Part | None, on_progress: Progress
) -> dict[str, str]:
    """By digest, what is wrong with the contents that are not what they must be."""
    problems: dict[str, str] = {}
    total = index.count_named()
    total = total if part is None else -(-total // part.parts)
    wanted = (content for content in index.named() if part is None or part.has(content.sha256))
    with closing(in_parallel(partial(_problem, store), wanted)) as answers:
        for content, problem in answers:
            report.objects += 1
            report.bytes += content.bytes
            if problem:
                problems[content.sha256] = problem
            on_progress(report.objects, max(total, report.objects), len(problems))
    return problems


def _findings(store: BackupStore, backups: Sequence[str], problems: Mapping[str, str]) -> Iterator[Finding]:
    """Who needs the damaged contents, and as what; nobody when all that did were pruned while we read."""
    paths: dict[str, dict[str, None]] = defaultdict(dict)
    needing: dict[str, set[str]] = defaultdict(set)
    for backup in store.ids():
        try:
            names = list(_needed(store, backup, problems)) if backup in backups else []
        except (BackupDamaged, NoSuchBackup, UnknownFormat):
            continue  # a finding of its own, or pruned a moment ago
        for path, content in names:
            paths[content.sha256][path] = None
            needing[content.sha256].add(backup)
    for sha256, found in paths.items():
        tasks = [f"{task}" for path in found if (task := task_of(path))]
        where = f"{store.where}/{store.key(sha256)}"
        shown = tuple(found)[:MOST_NAMED]
        yield Finding(where, problems[sha256], shown, tuple(sorted(needing[sha256])), tasks[0] if tasks else None)


def _needed(store: BackupStore, backup: str, problems: Mapping[str, str]) -> Iterator[tuple[str, Content]]:
    names = contents_of(store, store.manifest(backup))
    yield from ((path, content) for path, content in names if content.sha256 in problems)


def _put_aside(store: BackupStore, finding: Finding) -> None:
    """Move a damaged object to where no backup looks for it, the copy first."""
    key = finding.where.removeprefix(f"{store.where}/")
    if finding.problem != GONE:
        with store.provider.open(key) as stream:
            store.provider.upload(f"{DAMAGED}/{key.rpartition('/')[2]}", cast(BinaryIO, stream))
        store.provider.delete(key)


def _take_notes(store: BackupStore, report: Report, now: datetime) -> None:
    for backup in sorted({*report.backups} & {*store.ids()}):
        damaged = damaged_in(report, backup)
        said = {"part": report.part, "findings": [asdict(finding) for finding in damaged]}
        store.note(backup, VERIFIED, at=now, sound=not damaged, report=said)
