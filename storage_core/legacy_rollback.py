"""Writing migrated results back as the legacy system had them: value by value, and mostly byte for byte.

Each file is rebuilt from the stored tables and compared with the digest of the document that was migrated (and with
its backup, when there is one) before it is written; nothing that exists is ever overwritten.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from storage_core import legacy_check, legacy_document, legacy_read
from storage_core.db import make_engine
from storage_core.errors import DiskProblem, StorageError
from storage_core.files import create_bytes, disk_problems, fsync_dir
from storage_core.legacy_errors import NotWritten
from storage_core.legacy_find import MANIFEST, RESULT, RESULTS, TASKS
from storage_core.legacy_report import Failure
from storage_core.legacy_verify import backup_of, count_migrated, migrated_rows
from storage_core.models import Backtest
from storage_core.settings import Settings

_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(slots=True)
class RollbackReport:
    """A roll-back in figures: results written, `there` already and equal, failed; `same_bytes` of those written."""

    target: str
    dry_run: bool = False
    written: int = 0
    there: int = 0
    same_bytes: int = 0
    failures: list[Failure] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        failures = [
            {"path": f.path, "task_id": str(f.task_id), "kind": f.kind, "reason": f.reason} for f in self.failures
        ]
        return {
            "target": self.target,
            "dry_run": self.dry_run,
            "found": self.written + self.there + len(self.failures),
            "written": self.written,
            "there": self.there,
            "same_bytes": self.same_bytes,
            "failed": len(self.failures),
            "failures": failures,
        }


def roll_back(
    settings: Settings,
    target: Path,
    *,
    backup_dir: Path | None = None,
    task_ids: Sequence[UUID] = (),
    dry_run: bool = False,
    on_progress: Callable[[int, int, int], None] = lambda done, total, failed: None,
) -> RollbackReport:
    """Write every migrated result (or those of `task_ids`) below `target`, in the layout it came from.

    Rows and tables stay as they are. `backup_dir`: also compare with the backups there. Raises DiskProblem.

    `on_progress` hears (done, total, failed) after each result.
    """
    engine, report = make_engine(settings.database_url), RollbackReport(str(target), dry_run)
    try:
        total = count_migrated(engine, task_ids)
        for number, row in enumerate(migrated_rows(engine, task_ids), 1):
            try:
                files = rebuilt(settings, row)
                if backup_dir is not None:
                    _compare(row, files, backup_dir / f"{row.task_id}")
                there = _write(row, target, files, dry_run=dry_run)
            except DiskProblem:
                raise  # it would be the same for every other result
            except NotWritten as error:
                report.failures.append(Failure(str(error.path), row.task_id, "not-written", "", error.problem))
            except (StorageError, ValueError, KeyError) as error:
                problem = f"cannot be rebuilt: {error}"
                report.failures.append(Failure(f"{row.task_id}", row.task_id, "damaged", "", problem))
            else:
                report.there += there
                report.written += not there
                report.same_bytes += not there and any(_sha256(data) == row.legacy_sha256 for data in files.values())
            on_progress(number, total, len(report.failures))
    finally:
        engine.dispose()
    return report


def rebuilt(settings: Settings, row: Backtest) -> dict[str, bytes]:
    """The legacy files of a migrated result by path: the very bytes where the legacy system's own form gives them.

    Raises NotWritten when what is stored does not give the document that was migrated, ResultMissing, ResultDamaged.
    """
    legacy = row.metadata_["legacy"]
    layout, name = legacy["layout"], str(legacy["id"])
    if layout not in (TASKS, RESULTS) or name.lower() != str(row.task_id):
        raise NotWritten(row.task_id, Path(layout) / name, "its metadata names another place")
    files: dict[str, bytes] = {}
    if "manifest" in legacy:
        files[f"{TASKS}/{name}/{MANIFEST}"] = legacy["manifest"].encode()
    if row.status == "completed":
        path = f"{TASKS}/{name}/{RESULT}" if layout == TASKS else f"{RESULTS}/{name}.json"
        document = legacy_document.to_document(legacy["document"], legacy_check.read_tables(settings, row))
        if legacy_document.digest(document) != legacy["digest"]:
            raise NotWritten(row.task_id, Path(path), "what is stored is no longer equal to what was migrated")
        files[path] = next((t for t in _forms(document) if _sha256(t) == row.legacy_sha256), None) or next(
            _forms(document)
        )
    return files


def _forms(document: object) -> Iterator[bytes]:
    """The forms in which JSON is usually written; that of the legacy system first."""
    for layout in ({"indent": 2}, {}, {"separators": (",", ":")}, {"indent": 4}):
        for ascii_only in (True, False):
            text = json.dumps(document, ensure_ascii=ascii_only, **layout)
            data = text.encode(errors="surrogatepass")
            yield data
            yield data + b"\n"


def _compare(row: Backtest, files: dict[str, bytes], folder: Path) -> None:
    """Raise NotWritten unless the rebuilt files are equal, as parsed JSON, to those of the backup."""
    copy = backup_of(row, folder) if folder.is_dir() else None
    if copy is None:
        raise NotWritten(row.task_id, folder, "there is no backup to compare it with")
    kept = {MANIFEST if name == copy.manifest else RESULT: (folder / name).read_bytes() for name in copy.files}
    for path, data in files.items():
        own = kept.get(MANIFEST if path.endswith(f"/{MANIFEST}") else RESULT)
        if own is None or (own != data and legacy_read.parse(own) != legacy_read.parse(data)):
            raise NotWritten(row.task_id, Path(path), f"it differs from its backup in {folder}")


def _write(row: Backtest, target: Path, files: dict[str, bytes], *, dry_run: bool) -> bool:
    """Write the files of one result, the result before its manifest; True when all of them were there already."""
    there = 0
    for path, data in sorted(files.items(), reverse=True):
        place = target / path
        if place.is_symlink() or place.exists():
            if place.is_symlink() or not place.is_file() or place.read_bytes() != data:
                raise NotWritten(row.task_id, Path(path), "another content is there; nothing is ever overwritten")
            there += 1
        elif not dry_run:
            with disk_problems(place):
                place.parent.mkdir(parents=True, exist_ok=True)
            if not create_bytes(place, data):
                raise NotWritten(row.task_id, Path(path), "it was written by somebody else at the same time")
            with disk_problems(place):
                if row.metadata_["legacy"]["created_at_from"] == "file":  # its only witness is the time of the file
                    nanoseconds = (row.created_at - _EPOCH) // timedelta(microseconds=1) * 1000
                    os.utime(place, ns=(nanoseconds, nanoseconds))
                fsync_dir(place.parent.parent)
    return there == len(files)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
