"""Letting old backups go: their manifests first, then what no manifest names any more.

Kept are the newest backup of each of the latest 7 days, 4 weeks and 12 months that have one. A content goes only when
no backup that is kept names it and it has lain there for a day; and never while a backup runs. Deleting results, here
or in S3, touches no backup: only this does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from storage_core import backup_lock
from storage_core.backup import work_folder
from storage_core.backup_index import FileIndex
from storage_core.backup_store import BackupStore, backup_store
from storage_core.backup_verify import contents_of
from storage_core.backup_watcher import Progress
from storage_core.db import utc_now
from storage_core.settings import Settings

DAYS, WEEKS, MONTHS = 7, 4, 12
GRACE = timedelta(days=1)
"""Longer than any backup takes from its first content to its manifest."""


@dataclass(slots=True)
class Report:
    """What went (in a dry run: would go). `objects` and `bytes` are of contents that nobody names."""

    dry_run: bool
    kept: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    objects: int = 0
    bytes: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def keep(backups: Sequence[tuple[str, datetime]], timezone: str) -> set[str]:
    """Which of these (id, time) stay; days, weeks and months are those of `timezone`. The newest always does."""
    zone, kept = ZoneInfo(timezone), set[str]()
    newest_first = sorted(backups, key=lambda backup: (backup[1], backup[0]), reverse=True)
    rules: tuple[tuple[int, Callable[[datetime], object]], ...] = (
        (DAYS, lambda time: time.date()),
        (WEEKS, lambda time: time.isocalendar()[:2]),
        (MONTHS, lambda time: (time.year, time.month)),
    )
    for most, period_of in rules:
        periods: dict[object, str] = {}
        for name, time in newest_first:
            periods.setdefault(period_of(time.astimezone(zone)), name)
        kept |= set(list(periods.values())[:most])
    return kept


def prune(
    engine: Engine,
    settings: Settings,
    *,
    dry_run: bool = False,
    now: datetime | None = None,
    on_step: Callable[[str], None] = lambda step: None,
    on_progress: Progress = lambda done, total, failed: None,
) -> Report:
    """Remove the backups that `keep` lets go, then what nobody names. A crash leaves contents for the next prune.

    Raises BackupRunning; BackupDamaged when the list of a backup that is kept cannot be read: then nothing at all is
    removed, as nobody knows what it names. ObjectError when the store cannot be reached.
    """
    now, store, report = now or utc_now(), backup_store(settings), Report(dry_run)
    with (
        backup_lock.only_one(engine, settings),
        work_folder(settings, "prune") as work,
        FileIndex(work / "index.sqlite3") as index,
    ):
        manifests = [store.manifest(name) for name in store.ids()]
        kept = keep([(manifest.id, manifest.created_at) for manifest in manifests], settings.timezone)
        report.kept = sorted(kept)
        for manifest in manifests:
            if manifest.id in kept:
                index.name(content for _, content in contents_of(store, manifest))
        index.add_present((content, modified.timestamp()) for content, modified in store.contents())
        on_step("read")
        report.removed = sorted({manifest.id for manifest in manifests} - kept)
        _forget(store, report)
        on_step("manifests")
        _sweep(store, index, report, before=now - GRACE, on_progress=on_progress)
        on_step("swept")
        if not dry_run:
            store.provider.remove_unfinished(before=now - GRACE)
    return report


def _forget(store: BackupStore, report: Report) -> None:
    for name in () if report.dry_run else report.removed:
        store.forget(name)


def _sweep(store: BackupStore, index: FileIndex, report: Report, *, before: datetime, on_progress: Progress) -> None:
    old = (content for content, modified in index.not_named() if modified < before.timestamp())
    for content in old:
        report.objects += 1
        report.bytes += content.bytes
        if not report.dry_run:
            store.provider.delete(store.key(content.sha256))
        on_progress(report.objects, 0, 0)
