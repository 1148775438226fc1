"""Verifying stored results: every file is read again and compared with all that is known of it.

Of each result: the manifest (its own sha256, and that it says what the row says), each file's size and sha256, that it
can be read, its rows, the order of its times, its formulas, and that its counts agree. Nothing is changed. `contents`
holds what is asked of a table that can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Engine

from storage_core import chosen, manifest, modes
from storage_core.chosen import Choice
from storage_core.errors import ResultDamaged, ResultMissing, UnknownSchema
from storage_core.files import sha256_file
from storage_core.models import Backtest
from storage_core.models.backtest import METRIC_COLUMNS
from storage_core.reconcile import is_superseded
from storage_core.result_base import Files, ResultRoot
from storage_core.result_folders import ResultFolder
from storage_core.result_root import result_root
from storage_core.settings import Settings

if TYPE_CHECKING:
    from storage_core.verify_contents import Counts

TOLD_TWICE = (
    "task_id", "strategy", "symbols", "timeframe", "start_date", "end_date", "params", "spec", "record_count",
    "file_size", "data_fingerprint", "legacy_sha256", *METRIC_COLUMNS,
)  # fmt: skip
"""Columns of the row that never change once the result is stored, so the manifest must say the same."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: with which file (or, about the whole result, which folder), and what."""

    task_id: UUID
    path: str
    problem: str


@dataclass(slots=True)
class Report:
    """What `verify` looked at and what it found; `damaged` counts results."""

    results: int = 0
    files: int = 0
    rows: int = 0
    bytes: int = 0
    damaged: int = 0
    findings: list[Finding] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        counts = {name: getattr(self, name) for name in ("results", "files", "rows", "bytes", "damaged")}
        found = [{"task_id": str(one.task_id), "path": one.path, "problem": one.problem} for one in self.findings]
        return {**counts, "findings": found}


def verify(
    engine: Engine,
    settings: Settings,
    choice: Choice,
    *,
    on_progress: Callable[[int, int, int], None] = lambda done, total, failed: None,
) -> Report:
    """Read every chosen completed result again, past every cache; one result at a time is in memory.

    `on_progress` hears (done, total, damaged) after each. Raises BadFilter, and StorageError when the place where the
    results are kept cannot be reached at all.
    """
    report, root, total = Report(), result_root(settings), chosen.count(engine, choice)
    for row in chosen.walk(engine, choice):
        if row.status == "completed":
            findings = list(check(root, row, report))
            if findings and is_superseded(engine, row):
                continue  # deleted for good, or stored again, while it was being read
            report.results += 1
            report.damaged += bool(findings)
            report.findings += findings
        on_progress(report.results, total, report.damaged)
    return report


def check(root: ResultRoot, row: Backtest, report: Report | None = None) -> Iterator[Finding]:
    """Everything that is wrong with one completed result; counts what was read in `report`."""
    report = report if report is not None else Report()
    try:
        folder = root.of_row(row)
    except ResultMissing as error:
        yield Finding(row.task_id, str(error.path or ""), "its row names no place of a result")
        return
    noted: Files = row.metadata_.get("files") or {}
    where = root.called(folder, manifest.MANIFEST)
    yield from (Finding(row.task_id, where, problem) for problem in _manifest_problems(root, folder, row, noted))
    if not modes.complete(noted):
        yield Finding(row.task_id, where, f"the row notes the files {sorted(noted)}, which are not those of a result")
    counts: dict[str, Counts] = {}
    for name in noted or modes.FILES[modes.PARQUET]:
        for problem in _file_problems(root, folder, row, name, counts, report):
            yield Finding(row.task_id, root.called(folder, modes.file_name(name)), problem)
    from storage_core.verify_contents import disagreements

    for name, problem in disagreements(row, counts):
        in_json = row.stores == modes.JSON and name != modes.LINES
        file = modes.file_name("result" if in_json else name)
        yield Finding(row.task_id, root.called(folder, file), problem)


def _manifest_problems(root: ResultRoot, folder: ResultFolder, row: Backtest, noted: Files) -> Iterator[str]:
    try:
        values, files = root.manifest(folder)
    except ResultDamaged as error:
        yield error.problem
        return
    for name in TOLD_TWICE:
        if values.get(name) != getattr(row, name):
            yield f"it says that {name} is {_short(values.get(name))}, the row says {_short(getattr(row, name))}"
    if files != noted:
        yield "it notes other files than the row"


def _file_problems(
    root: ResultRoot, folder: ResultFolder, row: Backtest, name: str, counts: dict[str, Counts], report: Report
) -> Iterator[str]:
    facts = (row.metadata_.get("files") or {}).get(name)
    if facts is None:
        yield "the row notes nothing of it"
        return
    try:
        with root.opened(folder, modes.file_name(name)) as path:
            report.files += 1
            report.bytes += path.stat().st_size
            if changed := _changed(path, facts):
                yield changed
            elif name in (*modes.FILES[modes.PARQUET], modes.LINES):
                yield from _content_problems(path, row, facts, counts, report)
            elif name == "result" and row.stores == modes.JSON:
                yield from _json_problems(path, row, facts, counts, report)
    except FileNotFoundError:
        yield "it does not exist"
    except OSError as error:
        yield f"it cannot be read ({error.strerror or error})"


def _changed(path: Path, facts: Mapping[str, Any]) -> str:
    size = path.stat().st_size
    if size != facts["bytes"]:
        return f"it has {size:,} bytes, {facts['bytes']:,} were stored"
    return "" if sha256_file(path) == facts["sha256"] else "its sha256 is not the one that was stored"


def _content_problems(
    path: Path, row: Backtest, facts: Mapping[str, Any], counts: dict[str, Counts], report: Report
) -> Iterator[str]:
    from storage_core import result_files, strategy_lines, verify_contents

    try:
        if path.stem == modes.LINES:
            table, notes = strategy_lines.read_file(path, len(strategy_lines.drawn(row.metadata_))), {}
        else:
            table, notes = result_files.read(path), result_files.left_out(path)
    except ResultDamaged as error:
        yield f"it cannot be read: {error.problem}"
    except UnknownSchema as error:
        yield f"{error}"
    else:
        report.rows += table.num_rows
        if table.num_rows != facts["rows"]:
            yield f"it has {table.num_rows:,} rows, {facts['rows']:,} were stored"
        yield from verify_contents.problems(path.stem, table, row, notes=notes, facts=facts)
        counts[path.stem] = verify_contents.counts_of(path.stem, table)


def _json_problems(
    path: Path, row: Backtest, facts: Mapping[str, Any], counts: dict[str, Counts], report: Report
) -> Iterator[str]:
    """What is wrong with the tables of a result that is kept as JSON only."""
    from storage_core import json_read, verify_contents

    for name in modes.FILES[modes.PARQUET]:
        try:
            table = json_read.read(path, name, sha256=facts["sha256"])
        except (ResultDamaged, UnknownSchema) as error:
            yield f"{name} cannot be read: {error}"
            continue
        report.rows += table.num_rows
        for problem in verify_contents.problems(name, table, row, notes={}, facts={}):
            yield f"{name}: {problem}"
        counts[name] = verify_contents.counts_of(name, table)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
