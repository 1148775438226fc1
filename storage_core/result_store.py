"""Results: their files and a manifest in one folder, and the row that points to it.

The files are three of Parquet, or two of JSON, or all five (JSON first), as the storage mode asks (`modes`); after them
come the lines of a person's own strategy (`strategy_lines`).

How a save goes, and what a crash leaves (each case has its test):

1. Stage: files and `metadata.json` in `.staging/{task_id}.{attempt}.{nonce}/`, each flushed, then the folder.
   Crash: a stale staging folder, which `reconcile` removes; the row is not completed.
2. Move the folder to `backtests/{task_id}/` by one rename, never over another: a folder that a crashed attempt left
   is kept and this one becomes `{task_id}.r2`, `.r3`, ... Then the parent folder is flushed. With results in S3:
   send each file under that name, read it back, and the manifest last (see `object_results`).
   Crash: a whole folder without a row that names it, which `reconcile` adopts or removes.
3. One transaction completes the row and writes its `parquet_path`, only from the attempt that holds the claim.
   **COMMIT is the commit point.** Crash before it: as in 2. Crash after it: nothing is missing.

Readers go from the row to the path; what lies in the folders proves nothing.

On SQLite a power cut may take back the last commits (`synchronous = NORMAL`), never the flushed files: the row is then
running again, its heart silent, and `reconcile` adopts the folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Engine

from storage_core import backtests, manifest, modes, result_folders, strategy_lines
from storage_core.db import session_scope, utc_now
from storage_core.errors import ClaimLost
from storage_core.events import add_event
from storage_core.files import disk_problems, fsync_dir, fsync_file
from storage_core.models import Backtest
from storage_core.result_folders import ResultFolder
from storage_core.result_root import ResultRoot, result_root
from storage_core.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

TABLES = modes.FILES[modes.PARQUET]
SIDE_MISSING: Final = "side_missing"
"""The event of a result that is stored, though not in all the forms that the mode asks for."""


def steps(mode: str) -> tuple[str, ...]:
    """The steps of a save in order, as `on_step` hears of them; the commit point lies between the last two."""
    return ("begun", *modes.steps(mode), "manifest", "staged", "moved", "flushed", "written", "committed")


STEPS = steps(modes.PARQUET_ONLY)


@dataclass(frozen=True, slots=True)
class ResultTables:
    """The tables of a result, each of its schema in `schemas`; `strategy_lines` where its strategy draws some."""

    symbol_summary: pa.Table
    symbol_signals: pa.Table
    performance_curve: pa.Table
    strategy_lines: pa.Table | None = None

    def by_name(self) -> dict[str, pa.Table]:
        """The tables by name; those that every result has."""
        return {name: getattr(self, name) for name in TABLES}


def save(
    engine: Engine,
    settings: Settings,
    claim: backtests.Claim,
    tables: ResultTables,
    *,
    metrics: Mapping[str, float | int | str | None],
    metadata: Mapping[str, Any],
    on_step: Callable[[str], None] = lambda step: None,
) -> None:
    """Store the result of the attempt and complete its row; commits by itself. `metrics` by stored name, in percent.

    Raises ClaimLost (the row is untouched), BadTables, DiskProblem. After any of these, and after a crash at any
    step, a result can be saved again by whoever holds the claim then.
    """
    from storage_core import result_files, result_sides

    result_files.check_tables(tables.by_name())
    strategy_lines.check(tables.strategy_lines, metadata)
    manifest.check_columns(metrics, metadata)  # says what is wrong before anything is written
    with session_scope(engine) as session:
        if backtests.heartbeat(session, claim) == "lost":
            raise ClaimLost(claim.task_id, claim.attempt)
        row = backtests.get(session, claim.task_id)
    root = result_root(settings)
    staging = result_folders.new_staging(settings.results_dir, claim.task_id, claim.attempt)
    on_step("begun")
    try:
        compression, sides = settings.parquet_compression, modes.MODES[settings.result_storage_mode]
        written = result_sides.write(
            staging, row, tables.by_name(), sides=sides, compression=compression, at=utc_now(), on_step=on_step
        )
        if tables.strategy_lines is not None:
            lines = tables.strategy_lines
            metadata = strategy_lines.add(staging, lines, metadata, written.files, compression=compression)
        columns = manifest.result_columns(metrics, {**metadata, **written.metadata(compression)}, written.files)
        columns |= backtests.completion(utc_now())
        folder = move_in(root, staging, row, columns, on_step)
    finally:
        shutil.rmtree(staging, ignore_errors=True)  # gone already when it was moved
    try:
        with session_scope(engine) as session:
            backtests.finish(session, claim, columns)
            if written.missing:
                add_event(session, claim.task_id, SIDE_MISSING, attempt=claim.attempt, detail=written.missing)
            if problem := strategy_lines.problem(metadata):
                detail = {"message": problem}
                add_event(session, claim.task_id, "lines_missing", attempt=claim.attempt, detail=detail)
            on_step("written")
    except ClaimLost:
        if not _adopted(engine, root, folder):
            raise
    on_step("committed")


def read_table(
    settings: Settings,
    backtest: Backtest,
    name: str,
    *,
    columns: Sequence[str] | None = None,
    symbol: str | None = None,
) -> pa.Table:
    """Read a table of a completed backtest: `columns` (None: all) of all rows, or of those of `symbol`.

    From Parquet; from JSON where that is all there is, or where the Parquet file cannot be read.

    Raises ResultMissing, ResultDamaged and UnknownSchema, each naming the file.
    """
    from storage_core import result_sides

    if name not in TABLES:
        raise ValueError(f"the table is {name!r}; allowed: {', '.join(TABLES)}")
    return result_sides.read(result_root(settings), backtest, name, columns=columns, symbol=symbol)


def read_lines(settings: Settings, backtest: Backtest, *, symbol: str | None = None) -> pa.Table | None:
    """The lines that its strategy drew: symbol, timestamp, `line_1`, `line_2`, ...; None when it has none.

    Raises ResultMissing, ResultDamaged and UnknownSchema.
    """
    if not strategy_lines.drawn(backtest.metadata_):
        return None
    return strategy_lines.read(result_root(settings), backtest, symbol=symbol)


def move_in(
    root: ResultRoot, staging: Path, row: Backtest, columns: dict[str, Any], on_step: Callable[[str], None]
) -> ResultFolder:
    """Give the staged folder of `row`, as `columns` will make it, its manifest and the first free name, durably.

    Fills `columns` with that name. Raises DiskProblem and, with S3, ObjectError.
    """
    moved = False
    while not moved:
        folder = root.free_name(row.task_id, row.attempt, after=result_folders.revision_of(row))
        with disk_problems(staging):
            columns |= {"revision": folder.revision, "parquet_path": folder.parquet_path}
            (staging / manifest.MANIFEST).write_bytes(manifest.dump(row, columns))
            fsync_file(staging / manifest.MANIFEST)
            on_step("manifest")
            fsync_dir(staging)
            on_step("staged")
        moved = root.take_name(staging, folder, on_step=on_step)
    on_step("moved")
    root.flush(folder)
    on_step("flushed")
    return folder


def _adopted(engine: Engine, root: ResultRoot, folder: ResultFolder) -> bool:
    """Whether `reconcile` took this very folder as the result while the attempt was silent; if not, it is trash."""
    with root.locked():
        with session_scope(engine) as session:
            row = backtests.get(session, folder.task_id)
        if row.parquet_path == folder.parquet_path:
            return True
        root.to_trash(folder.path)
    return False
