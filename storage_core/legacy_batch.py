"""One batch of a migration, from files to moved files, in one process.

Convert and stage each; one commit for all; read each back from where it is now, compare it with its file, which is
read again; then move the files. A kill between any two steps loses nothing: the next run finds the row and goes on
with comparing and moving, or finds none and begins again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import Engine, event, select

from storage_core import legacy_check, legacy_parse, result_import
from storage_core.db import make_engine, session_scope
from storage_core.errors import StorageError
from storage_core.legacy_duplicates import agreed
from storage_core.legacy_errors import BadLegacyFile
from storage_core.legacy_find import Copy, Unit
from storage_core.legacy_move import move
from storage_core.legacy_parse import Legacy, Rules, Source
from storage_core.legacy_report import Outcome, Skip, failed
from storage_core.models import Backtest
from storage_core.result_import import Staged
from storage_core.settings import Settings

ACTOR = "migrate-results"
FLUSHES_AT_ONCE = 8
STEPS = ("staged", "committed", "compared", "moved")
"""The steps of a batch, as `on_step` hears of them; the commit point is that of `result_import`."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a migration was asked to do. `cutoff`: only results created before that instant."""

    source: Path
    backup_dir: Path
    dry_run: bool = False
    force: bool = False
    verify: bool = False
    cutoff: datetime | None = None
    rules: Rules = field(default_factory=Rules)


@dataclass(slots=True)
class _Job:
    """A result on its way: the copy that is stored, and copies with the same content that only move."""

    task_id: UUID
    copy: Copy
    sha256: str
    others: list[Copy]
    legacy: Legacy | None = None
    staged: Staged | None = None
    outcome: Outcome | None = None

    def files(self) -> list[tuple[str, str]]:
        return [(path, f"{self.task_id}") for copy in (self.copy, *self.others) for path in copy.files]


class Batches:
    """Migrates batches with one engine. `on_step` is told of each step, for tests that break it off there."""

    def __init__(
        self, settings: Settings, options: Options, on_step: Callable[[str], None] = lambda step: None
    ) -> None:
        self.settings, self.options, self._on_step = settings, options, on_step
        self.engine = safe_engine(settings.database_url)
        self._threads = ThreadPoolExecutor(FLUSHES_AT_ONCE)  # one computes while the others wait for the disk

    def close(self) -> None:
        """Let the database and the threads go."""
        self._threads.shutdown(cancel_futures=True)
        self.engine.dispose()

    def run(self, units: Sequence[Unit]) -> list[Outcome]:
        """Migrate these, each by itself: what is wrong with one leaves the others alone."""
        outcomes: list[Outcome] = []
        rows = self._rows([unit.task_id for unit in units if unit.task_id])
        jobs: list[_Job] = []
        for own, job in self._threads.map(lambda unit: self._begin(unit, rows), units):
            outcomes += own
            jobs += [job] if job else []
        if not self.options.dry_run:
            self._finish(jobs)
        return outcomes + [job.outcome for job in jobs if job.outcome]

    def _begin(self, unit: Unit, rows: Mapping[UUID, Backtest]) -> tuple[list[Outcome], _Job | None]:
        """Decide about each copy of one result: outcomes, and what is to be stored, or compared and moved."""
        if unit.task_id is None or unit.problem is not None:
            return [failed(unit.path, None, unit.problem or FileNotFoundError())], None
        row, sources, outcomes = rows.get(unit.task_id), list[Source](), list[Outcome]()
        for copy in unit.copies:
            try:
                sources.append(legacy_parse.read_copy(self.options.source, copy, self.options.rules))
            except (BadLegacyFile, FileNotFoundError) as error:
                if row is None or not isinstance(error, FileNotFoundError):
                    outcomes.append(failed(copy.path, unit.task_id, error))
        sources, failures = agreed(sources, row, unit.task_id, self.options.rules, force=self.options.force)
        outcomes += failures
        if not sources:
            return outcomes, None
        first, *others = sources
        job = _Job(unit.task_id, first.copy, first.sha256, [source.copy for source in others])
        job.outcome = self._attempt(job, first, row)
        if job.outcome.failure is None:
            outcomes += [Outcome(skip=Skip.SAME) for _ in others]
        else:
            outcomes += [failed(copy.path, unit.task_id, _same_fault(job)) for copy in job.others]
        return outcomes, job

    def _attempt(self, job: _Job, source: Source, row: Backtest | None) -> Outcome:
        try:
            return self._stage(job, source, row)
        except (StorageError, OSError) as error:
            return failed(job.copy.path, job.task_id, error)

    def _stage(self, job: _Job, source: Source, row: Backtest | None) -> Outcome:
        there = row is not None and not self.options.force
        if there and row is not None and row.deleted_at is not None:
            job.others, job.sha256 = [], ""
            return Outcome(skip=Skip.DELETED)
        job.legacy = legacy = legacy_parse.convert(source, job.task_id, self.options.rules)
        if there and row is not None:
            if self.options.dry_run:
                legacy_check.check_stored(self.settings, row, legacy)  # in a real run `_compare` does that
            return Outcome(skip=Skip.THERE)
        if self.options.cutoff is not None and legacy.columns["created_at"] >= self.options.cutoff:
            job.others, job.sha256 = [], ""
            return Outcome(skip=Skip.CUTOFF)
        if self.options.dry_run:
            with tempfile.TemporaryDirectory(prefix="coin-hts-dry-run-") as folder:
                staged = _write(replace(self.settings, results_uri=folder), legacy)
                _check_staged(staged, legacy)
                after = staged.bytes
        else:
            job.staged = _write(self.settings, legacy)
            after = job.staged.bytes
        doubts = [f"{job.copy.path}: {doubt}" for doubt in legacy.doubts]
        return Outcome(before=legacy.bytes_before, after=after, doubts=doubts)

    def _finish(self, jobs: Sequence[_Job]) -> None:
        staged = [job.staged for job in jobs if job.staged]
        self._on_step("staged")
        if staged:
            self._commit(jobs, staged)
        self._on_step("committed")
        rows = self._rows([job.task_id for job in jobs])
        for job in jobs:
            if job.outcome and job.outcome.done and job.sha256:
                self._compare(job, rows.get(job.task_id))
        self._on_step("compared")
        files = [pair for job in jobs if job.outcome and job.outcome.done and job.sha256 for pair in job.files()]
        move(self.options.source, files, self.options.backup_dir)
        self._on_step("moved")

    def _commit(self, jobs: Sequence[_Job], staged: Sequence[Staged]) -> None:
        replace = self.options.force
        written = result_import.commit(self.engine, self.settings, staged, replace=replace, actor=ACTOR)
        for job in jobs:
            if job.staged is not None and job.task_id not in written:
                job.staged, job.outcome = None, Outcome(skip=Skip.THERE)

    def _compare(self, job: _Job, row: Backtest | None) -> None:
        """Read the file and what is stored again, and compare; what is stored wrongly is taken back."""
        try:
            source = legacy_parse.read_copy(self.options.source, job.copy, self.options.rules)
            if row is None or job.legacy is None or source.sha256 != job.sha256:
                raise BadLegacyFile("changed", "", "was changed while it was migrated; run the command again")
            legacy_check.check_stored(self.settings, row, job.legacy)
        except FileNotFoundError:
            pass  # another migration moved it, after it had compared it
        except (StorageError, OSError) as error:
            job.outcome = failed(job.copy.path, job.task_id, error)
            if job.staged is not None:
                result_import.withdraw(self.engine, self.settings, job.task_id)

    def _rows(self, task_ids: Sequence[UUID]) -> dict[UUID, Backtest]:
        with session_scope(self.engine) as session:
            rows = session.scalars(select(Backtest).where(Backtest.task_id.in_(task_ids)))
            return {row.task_id: row for row in rows}


def safe_engine(url: str) -> Engine:
    """An engine whose commits are on the disk before a file is moved, on SQLite too."""
    engine = make_engine(url)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _flush_commits(connection: object, record: object) -> None:
            connection.execute("PRAGMA synchronous = FULL").close()  # type: ignore[attr-defined]

    return engine


def _write(settings: Settings, legacy: Legacy) -> Staged:
    metadata = {"legacy": dict(legacy.legacy), "sparkline": legacy.sparkline}
    return result_import.stage(settings, legacy.columns, legacy.tables, metrics=legacy.metrics, metadata=metadata)


def _check_staged(staged: Staged, legacy: Legacy) -> None:
    """What the real run compares after its commit."""
    if staged.folder is not None:
        read = {name: table.combine_chunks() for name, table in result_import.read_staged(staged).items()}
        legacy_check.check_tables(read, legacy, legacy.legacy["document"])


def _same_fault(job: _Job) -> BadLegacyFile:
    return BadLegacyFile("same-fault", "", f"has the same content as {job.copy.path}, which failed")
