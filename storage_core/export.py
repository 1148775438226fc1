"""Exporting results: out of the store, in full, in forms that other programs read.

- `json`: the legacy layout, `tasks/{task_id}/result.json` and `manifest.json`, which `migrate-results` reads. What came
  from the legacy system is written as it was there.
- `csv`, `parquet`: `{task_id}/{table}.csv` or `.parquet` with all columns of the logical schema, also those that the
  store leaves out, and `strategy_lines` where the strategy drew lines, each column called by the line's label.
- `zip`: the CSV files in one archive. Any other form goes into an archive too when the target ends in `.zip`.

Beside them `backtests.csv` (or `backtests.jsonl`) has one line a backtest. Everything is written beside the target,
which appears whole at the end, and nothing is ever overwritten. One result at a time is in memory.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from uuid import UUID

from sqlalchemy import Engine

from storage_core import chosen
from storage_core.chosen import Choice
from storage_core.errors import StorageError, TargetExists
from storage_core.files import disk_problems, fsync_dir, fsync_file
from storage_core.models import Backtest
from storage_core.settings import Settings

FORMATS = ("json", "csv", "parquet", "zip")
ARCHIVE = ".zip"


@dataclass(slots=True)
class Report:
    """What was exported: lines in the list, results with their tables, bytes of the target; and what could not be."""

    target: str
    backtests: int = 0
    results: int = 0
    bytes: int = 0
    failures: dict[UUID, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        failures = [{"task_id": str(task_id), "problem": problem} for task_id, problem in self.failures.items()]
        counts = {name: getattr(self, name) for name in ("target", "backtests", "results", "bytes")}
        return {**counts, "failures": failures}


def export(
    engine: Engine,
    settings: Settings,
    choice: Choice,
    target: Path,
    *,
    form: str = "csv",
    on_progress: Callable[[int, int, int], None] = lambda done, total, failed: None,
) -> Report:
    """Write the chosen backtests to `target`, a folder or (when it ends in .zip) an archive, which must not exist.

    A result that cannot be read is a failure in the report, and the others are exported. Raises TargetExists,
    DiskProblem, BadFilter; then there is no target.
    """
    from storage_core.export_formats import FORMS

    one = FORMS[form]
    report, total = Report(f"{target}"), chosen.count(engine, choice)
    archive = form == "zip" or target.suffix == ARCHIVE
    with _target(target, archive=archive) as (folder, pack), one.listing(folder) as note:
        for row in chosen.walk(engine, choice):
            report.backtests += 1
            note(row)
            if row.status == "completed":
                _export_result(settings, row, folder, one.write, report)
                pack()
            on_progress(report.backtests, total, len(report.failures))
    report.bytes = _size(target)
    return report


def _export_result(
    settings: Settings, row: Backtest, folder: Path, write: Callable[[Settings, Backtest, Path], None], report: Report
) -> None:
    scratch = folder / f".{row.task_id}"
    try:
        with disk_problems(scratch):
            scratch.mkdir()
        write(settings, row, scratch)
    except (StorageError, ValueError, KeyError) as error:
        if not getattr(error, "permanent", True):
            raise  # a full disk, a store out of reach: not about this result
        report.failures[row.task_id] = f"{error}"
    else:
        with disk_problems(folder):
            for path in sorted(path for path in scratch.rglob("*") if path.is_file()):
                place = folder / path.relative_to(scratch)
                place.parent.mkdir(parents=True, exist_ok=True)
                path.rename(place)
        report.results += 1
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _target(target: Path, *, archive: bool) -> Iterator[tuple[Path, Callable[[], None]]]:
    """A folder to write in, which becomes the target; `pack()` may be called whenever a result is complete in it."""
    if target.is_symlink() or target.exists():
        raise TargetExists(target)
    with disk_problems(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        with disk_problems(target):
            folder = scratch / "folder"
            folder.mkdir()
            if archive:
                packed = scratch / "packed"
                with zipfile.ZipFile(packed, "x", zipfile.ZIP_DEFLATED, allowZip64=True) as file:
                    yield folder, lambda: _pack(folder, file, whole=False)
                    _pack(folder, file, whole=True)
                fsync_file(packed)
            else:
                yield folder, lambda: None
            _appear(scratch / "packed" if archive else folder, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _pack(folder: Path, file: zipfile.ZipFile, *, whole: bool) -> None:
    """Move finished files into the archive; the list in the top folder grows until the end."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if whole or path.parent != folder:
            file.write(path, path.relative_to(folder).as_posix())
            path.unlink()


def _appear(made: Path, target: Path) -> None:
    try:
        if made.is_dir():
            target.mkdir()  # refused when something is there; a rename would replace an empty folder
            made.rename(target)
        else:
            os.link(made, target)
    except FileExistsError as error:
        raise TargetExists(target) from error
    fsync_dir(target.parent)


def _size(target: Path) -> int:
    if target.is_file():
        return target.stat().st_size
    return sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
