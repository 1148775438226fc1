"""Bringing every stored result to what the storage mode asks for: the Parquet, or the JSON, that it misses.

For each completed result, under the lock of the results: the side that is whole is read, what is missing or damaged is
written from it beside what is whole, all of it in a new revision of the result; a manifest is written from the row. One
UPDATE that counts only while the row is as it was seen points to it: **COMMIT is the commit point.** A crash before it
leaves a staging folder or a revision that no row names, and after it the old revision; `reconcile` takes each of them
away, and the next repair goes on where this one was. Readers are not disturbed: the old revision stays until then.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Engine, select, update

from storage_core import (
    chosen,
    manifest,
    modes,
    result_files,
    result_folders,
    result_sides,
    result_store,
    strategy_lines,
)
from storage_core.backtest_filters import Filters
from storage_core.backtest_keeping import ACTIVE_SYMBOLS
from storage_core.db import begin_to_write, session_scope, utc_now
from storage_core.errors import ResultDamaged, ResultMissing, StorageError
from storage_core.events import add_event
from storage_core.files import disk_problems, fsync_file, sha256_file
from storage_core.models import Backtest
from storage_core.modes import FILES, JSON, PARQUET, SIDES
from storage_core.reconcile import is_superseded
from storage_core.result_folders import ResultFolder
from storage_core.result_root import ResultRoot, result_root
from storage_core.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

_OF_ONE_RESULT = (StorageError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
"""What may go wrong with one result, pyarrow's own errors among it; the others are repaired all the same."""
_COMPLETED = chosen.Choice(filters=Filters(statuses=("completed",)))


@dataclass(slots=True)
class RepairReport:
    """What `repair` did (or, in a dry run, would do): of each result the sides it is kept as now, and why not."""

    mode: str
    dry_run: bool
    checked: int = 0
    repaired: dict[UUID, str] = field(default_factory=dict)
    failed: dict[UUID, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "mode": self.mode,
            "dry_run": self.dry_run,
            "checked": self.checked,
            "repaired": {str(task_id): what for task_id, what in self.repaired.items()},
            "failed": len(self.failed),
            "failures": {str(task_id): why for task_id, why in self.failed.items()},
        }


@dataclass(frozen=True, slots=True)
class DrawnAgain:
    """Lines for a result that has lost its own: the table, and label, pane and faintness of each."""

    table: pa.Table
    drawn: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class _Need:
    """What a result has, by side, and what it is to have; `problems` of what is noted but not whole."""

    noted: tuple[str, ...]
    whole: tuple[str, ...]
    target: tuple[str, ...]
    problems: Mapping[str, StorageError]
    lines_lost: bool
    manifest_lost: bool
    lines: DrawnAgain | None = None

    @property
    def met(self) -> bool:
        same = self.noted == self.whole == self.target
        return same and not self.lines_lost and not self.manifest_lost and self.lines is None

    @property
    def said(self) -> str:
        """In words: what is written, from what."""
        made = [side for side in self.target if side not in self.whole]
        written = f"{modes.named(made)} written from {self.source}" if made else ""
        dropped = [side for side in self.noted if side not in self.target]
        taken = f"{modes.named(dropped)} taken away" if dropped else ""
        lost = f"lines of the strategy given up: {strategy_lines.LOST}" if self.lines_lost else ""
        lines = "lines of the strategy put back" if self.lines else lost
        told = f"{manifest.MANIFEST} written from the row" if self.manifest_lost else ""
        return "; ".join(filter(None, [written, taken, lines, told]))

    @property
    def source(self) -> str:
        """The side to read from."""
        return PARQUET if PARQUET in self.whole else JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class _Repairer:
    engine: Engine
    settings: Settings
    root: ResultRoot
    deep: bool
    remove_other: bool
    on_step: Callable[[str], None]

    def need(self, row: Backtest, listed: Mapping[str, ResultFolder]) -> _Need:
        """Look at the files that the row names."""
        files = row.metadata_.get("files") or {}
        noted, problems = modes.sides_in(files), dict[str, StorageError]()
        for side in noted:
            try:
                folder = listed.get(row.parquet_path or "") or self.root.of_row(row)
                self.root.verify(folder, {name: files[name] for name in FILES[side]}, deep=self.deep)
            except (ResultDamaged, ResultMissing) as error:
                problems[side] = error
        asked = modes.MODES[self.settings.result_storage_mode]
        target = asked if self.remove_other else tuple(side for side in SIDES if side in asked or side in noted)
        whole = tuple(side for side in noted if side not in problems)
        lines_lost = modes.LINES in files and bool(whole) and not self._has_lines(row, listed, whole[0])
        manifest_lost = bool(whole) and not self._has_manifest(row, listed)
        return _Need(noted, whole, target, problems, lines_lost, manifest_lost)

    def _has_manifest(self, row: Backtest, listed: Mapping[str, ResultFolder]) -> bool:
        """Whether the manifest of a result that is there is whole."""
        folder = listed.get(row.parquet_path or "") or self.root.of_row(row)
        try:
            self.root.check_manifest(folder, deep=self.deep)
        except ResultDamaged:
            return False
        return True

    def _has_lines(self, row: Backtest, listed: Mapping[str, ResultFolder], side: str) -> bool:
        """Whether the lines that the row notes are whole; `side` is."""
        files = row.metadata_["files"]
        try:
            folder = listed.get(row.parquet_path or "") or self.root.of_row(row)
            self.root.verify(folder, {name: files[name] for name in (*FILES[side], modes.LINES)}, deep=self.deep)
        except ResultDamaged:
            return False
        return True

    def plan(self, row: Backtest, need: _Need) -> str:
        """What `run` would do; "" when somebody else did it since the row was read. Raises StorageError."""
        if is_superseded(self.engine, row):
            return ""
        if not need.whole:
            raise _lost(row, need)
        return need.said

    def run(self, task_id: UUID, *, lines: DrawnAgain | None = None) -> str:
        """Repair one result as it is now; what was done, "" when nothing was to do any more. Raises StorageError.

        `lines` are put where its own are lost; where they are not, they are left away.
        """
        with self.root.locked():
            with session_scope(self.engine) as session:
                row = session.get(Backtest, task_id)
            if row is None or row.status != "completed" or row.deleted_at is not None:
                return ""
            need = self.need(row, {})
            if lines is not None and (need.lines_lost or strategy_lines.lost(row.metadata_)):
                need = replace(need, lines=lines)
            if need.met:
                return ""
            if not need.whole:
                raise _lost(row, need)
            staging = result_folders.new_staging(self.settings.results_dir, row.task_id, row.attempt)
            self.on_step("begun")
            try:
                columns = self._stage(staging, row, need)
                folder = result_store.move_in(self.root, staging, row, columns, self.on_step)
            finally:
                shutil.rmtree(staging, ignore_errors=True)  # gone already when it was moved
            done = self._commit(row, columns, need)
            self.on_step("committed")
            if not done:
                self.root.to_trash(folder.path)
            return need.said if done else ""

    def _stage(self, staging: Path, row: Backtest, need: _Need) -> dict[str, Any]:
        """Fill the folder with what the result is to have; the columns of the row that this changes."""
        known, compression = row.metadata_["files"], self.settings.parquet_compression
        copied = [name for side in need.target if side in need.whole for name in FILES[side]]
        copied += [modes.LINES] if modes.LINES in known and not need.lines_lost else []
        files = {name: self._copied(staging, row, name, known[name]) for name in copied}
        about: dict[str, Any] = {}
        made = [side for side in need.target if side not in need.whole]
        if made:
            read = {name: result_sides.read_side(self.root, row, name, need.source) for name in FILES[PARQUET]}
            at = row.finished_at or row.created_at
            written = result_sides.write(
                staging, row, read, sides=made, compression=compression, at=at, on_step=self.on_step
            )
            files |= written.files
            about = written.metadata(compression) if PARQUET in made else {}
        gone = {"missing", *(() if PARQUET in need.target else result_files.FORMAT)} - {*result_files.SCHEMA}
        kept = {name: value for name, value in row.metadata_.items() if name not in gone}
        if need.lines is not None:
            table, drawn = need.lines.table, list(need.lines.drawn)
            files[modes.LINES] = strategy_lines.write(staging, table, drawn, compression=compression)
            kept |= {"lines": {"drawn": drawn, "problem": ""}}
            self.on_step("lines")
        elif need.lines_lost:
            kept = strategy_lines.without(kept, strategy_lines.LOST)
        return {
            "metadata_": {**kept, **about, "files": files},
            "stores": modes.named(need.target),
            "file_size": sum(facts["bytes"] for facts in files.values()),
            "record_count": manifest.record_count(files),
        }

    def _copied(self, staging: Path, row: Backtest, name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        target = staging / modes.file_name(name)
        with disk_problems(target):
            self.root.read(row, name, lambda path: shutil.copyfile(path, target))
            fsync_file(target)
        if sha256_file(target) != facts["sha256"]:
            raise ResultDamaged(f"{row.parquet_path}{target.name}", "its sha256 is not the one that was stored")
        self.on_step(f"copied {name}")
        return dict(facts)

    def _commit(self, row: Backtest, columns: Mapping[str, Any], need: _Need) -> bool:
        """Point the row to the new revision, if it is still as it was seen."""
        same = (
            Backtest.task_id == row.task_id,
            Backtest.parquet_path == row.parquet_path,
            Backtest.revision == row.revision,
            Backtest.status == "completed",
            Backtest.deleted_at.is_(None),
        )
        with session_scope(self.engine) as session:
            begin_to_write(session)
            found = session.scalars(select(Backtest).where(*same).with_for_update()).one_or_none()
            if found is not None:
                chosen_now = {name: found.metadata_[name] for name in (ACTIVE_SYMBOLS,) if name in found.metadata_}
                unchosen = {name: value for name, value in columns["metadata_"].items() if name != ACTIVE_SYMBOLS}
                session.execute(
                    update(Backtest).where(*same).values(**{**columns, "metadata_": unchosen | chosen_now}),
                    execution_options={"synchronize_session": False},
                )
                detail = {"done": need.said, "stores": columns["stores"]}
                add_event(session, row.task_id, "repaired", actor="repair", detail=detail, now=utc_now())
            self.on_step("written")
        return found is not None


def repair(
    engine: Engine,
    settings: Settings,
    *,
    dry_run: bool = False,
    deep: bool = False,
    remove_other: bool = False,
    on_progress: Callable[[int, int, int], None] = lambda done, total, failed: None,
    on_step: Callable[[str], None] = lambda step: None,
) -> RepairReport:
    """Write what completed results miss of what the mode asks for; safe while others save, and to run again.

    `deep` compares every file with its sha256, otherwise presence and size. A side that the mode does not ask for
    stays, and is repaired too; with `remove_other` it goes. What cannot be repaired is collected in the report.
    `on_progress` hears (done, total, failed) after each result.
    """
    root, report = result_root(settings), RepairReport(settings.result_storage_mode, dry_run)
    repairer = _Repairer(
        engine=engine, settings=settings, root=root, deep=deep, remove_other=remove_other, on_step=on_step
    )
    total = chosen.count(engine, _COMPLETED)
    listed = {folder.parquet_path: folder for folder in root.result_folders()[0]}
    for row in chosen.walk(engine, _COMPLETED):
        report.checked += 1
        try:
            need = repairer.need(row, listed)
            done = "" if need.met else repairer.plan(row, need) if dry_run else repairer.run(row.task_id)
            if done:
                report.repaired[row.task_id] = done
        except _OF_ONE_RESULT as error:
            report.failed[row.task_id] = str(error) or repr(error)
        on_progress(report.checked, total, len(report.failed))
    return report


def put_lines_back(
    engine: Engine,
    settings: Settings,
    task_id: UUID,
    lines: DrawnAgain,
    *,
    on_step: Callable[[str], None] = lambda step: None,
) -> bool:
    """Give a completed result that has lost its lines these; False when it has them, or is gone.

    They are stored as a repair stores a side that is missing, and whatever else is missing is written too. Raises
    BadTables when the table is not that of the lines, and what a repair raises.
    """
    strategy_lines.check(lines.table, {"lines": {"drawn": list(lines.drawn)}})
    repairer = _Repairer(
        engine=engine, settings=settings, root=result_root(settings), deep=True, remove_other=False, on_step=on_step
    )
    return bool(repairer.run(task_id, lines=lines))


def _lost(row: Backtest, need: _Need) -> StorageError:
    """Nothing is left to write the result from."""
    problems = list(need.problems.values()) or [ResultMissing(row.task_id, row.parquet_path)]
    if len(problems) == 1:
        return problems[0]
    return ResultDamaged(row.parquet_path or "", "; ".join(map(str, problems)))
