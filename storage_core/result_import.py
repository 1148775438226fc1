"""Storing results that no worker ran: files first, then rows inserted as they will stay, many in one transaction.

The steps of `result_store` without a claim, and what a crash leaves:

1. Stage: the files that the storage mode asks for and `metadata.json` in `.importing/{task_id}.{nonce}/`, each flushed.
   Crash: a stale folder, which `clear` removes when the next import begins.
2. Under the lock of the results: move each folder to `backtests/{task_id}/` (or send it to S3), flush their parent
   once, and insert all rows in one transaction. **COMMIT is the commit point.**
   Crash before it: whole folders without rows, which `reconcile` adopts or the next import replaces.

A row that is there already is never written twice: it is left alone, or with `replace` points to a new revision.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Engine, delete, inspect, select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.schema import CallableColumnDefault, ScalarElementColumnDefault

from storage_core import manifest, modes, result_files, result_folders, result_sides
from storage_core.db import insert_into, session_scope
from storage_core.errors import DiskProblem, ResultMissing
from storage_core.events import add_event, add_events
from storage_core.files import disk_problems, fsync_dir, fsync_file
from storage_core.models import Backtest
from storage_core.result_folders import ResultFolder
from storage_core.result_root import ResultRoot, result_root
from storage_core.result_store import SIDE_MISSING, TABLES, ResultTables
from storage_core.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

IMPORTING = ".importing"
_KEPT = {"task_id", "owner_id", "note", "pinned", "tags"}


@dataclass(slots=True)
class Staged:
    """A result that waits for its commit: all columns of its row by attribute, and its folder (None: it has none).

    `bytes` of all its files; `missing` says of each side that could not be written why; `place` is where it was moved
    to, once it was.
    """

    columns: dict[str, Any]
    folder: Path | None = None
    bytes: int = 0
    missing: dict[str, str] = field(default_factory=dict)
    place: ResultFolder | None = None

    @property
    def task_id(self) -> UUID:
        """Whose result it is."""
        task_id: UUID = self.columns["task_id"]
        return task_id

    def discard(self) -> None:
        """Remove the staged folder, if it is still there."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def stage(
    settings: Settings,
    columns: Mapping[str, Any],
    tables: ResultTables | None,
    *,
    metrics: Mapping[str, Any],
    metadata: Mapping[str, Any],
) -> Staged:
    """Write a result as the storage mode asks, flushed; `tables` None: a row without a result.

    Raises BadTables and DiskProblem.
    """
    row = {**_defaults(), **columns}
    if tables is None:
        return Staged({**row, **manifest.result_columns(metrics, metadata, {})})
    result_files.check_tables(tables.by_name())
    manifest.check_columns(metrics, metadata)  # says what is wrong before anything is written
    staging = settings.results_dir / IMPORTING / f"{columns['task_id']}.{secrets.token_hex(8)}"
    with disk_problems(staging):
        staging.mkdir(parents=True)
    try:
        compression, sides = settings.parquet_compression, modes.MODES[settings.result_storage_mode]
        backtest = Backtest(**row)
        written = result_sides.write(
            staging,
            backtest,
            tables.by_name(),
            sides=sides,
            compression=compression,
            at=row.get("finished_at") or row["created_at"],
        )
        row |= manifest.result_columns(metrics, {**metadata, **written.metadata(compression)}, written.files)
        row["parquet_path"] = f"{result_folders.BACKTESTS}/{columns['task_id']}/"
        staged = Staged(row, staging, missing=written.missing)
        _write_manifest(staged, backtest)
        staged.bytes = sum(path.stat().st_size for path in staging.iterdir())
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return staged


def read_staged(staged: Staged) -> dict[str, pa.Table]:
    """The tables as they were staged, read back. Raises ResultDamaged."""
    if staged.folder is None:
        return {}
    from storage_core import json_read

    files = staged.columns["metadata_"]["files"]
    if modes.PARQUET in modes.sides_in(files):
        return {name: result_files.read(staged.folder / modes.file_name(name)) for name in TABLES}
    path, digest = staged.folder / modes.file_name("result"), files["result"]["sha256"]
    return {name: json_read.read(path, name, sha256=digest) for name in TABLES}


def commit(engine: Engine, settings: Settings, staged: Sequence[Staged], *, replace: bool, actor: str) -> set[UUID]:
    """Move the folders in and write the rows; returns the ids of those that were. Commits by itself.

    The others had a row already. No staged folder is left. Raises DiskProblem.
    """
    root = result_root(settings)
    try:
        with root.locked():
            with session_scope(engine) as session:
                old = _rows(session, [item.task_id for item in staged])
            new = [item for item in staged if replace or item.task_id not in old]
            places = [_move_in(root, item, old.get(item.task_id)) for item in new if item.folder]
            if places:
                root.flush(places[-1])  # all have one parent
            with session_scope(engine) as session:
                written = _write_rows(session, new, old)
                add_events(session, [(task_id, None) for task_id in sorted(written)], "imported", actor=actor)
                for item in new:
                    if item.missing and item.task_id in written:
                        add_event(session, item.task_id, SIDE_MISSING, actor=actor, detail=item.missing)
            for item in new:
                if item.task_id not in written and item.place is not None:
                    root.to_trash(item.place.path)
                elif item.task_id in old:
                    _to_trash(root, old[item.task_id])
    finally:
        for item in staged:
            item.discard()
    return written


def withdraw(engine: Engine, settings: Settings, task_id: UUID) -> None:
    """Take an imported result back: no row, its folder in the trash."""
    root = result_root(settings)
    with root.locked():
        with session_scope(engine) as session:
            row = _rows(session, [task_id]).get(task_id)
            session.execute(delete(Backtest).where(Backtest.task_id == task_id))
        if row is not None:
            _to_trash(root, row)


def clear(results_dir: Path) -> None:
    """Remove what a killed import left staged; only while no other import runs."""
    shutil.rmtree(results_dir / IMPORTING, ignore_errors=True)


def _defaults() -> dict[str, Any]:
    """What the columns of a row are when nobody says, so that the manifest has them too."""
    found = {}
    for attribute in inspect(Backtest).column_attrs:
        default = attribute.columns[0].default
        if isinstance(default, CallableColumnDefault):
            found[attribute.key] = default.arg(None)  # type: ignore[arg-type]
        elif isinstance(default, ScalarElementColumnDefault):
            found[attribute.key] = default.arg
    return found


def _rows(session: Session, task_ids: Sequence[UUID]) -> dict[UUID, Backtest]:
    rows = session.scalars(select(Backtest).where(Backtest.task_id.in_(task_ids)))
    return {row.task_id: row for row in rows}


def _write_rows(session: Session, items: Sequence[Staged], old: Mapping[UUID, Backtest]) -> set[UUID]:
    """Insert the rows, or update those in `old`; not among the ids: those that another machine inserted first."""
    names = [attribute.key for attribute in inspect(Backtest).column_attrs]
    new = [{name: item.columns.get(name) for name in names} for item in items if item.task_id not in old]
    if new:
        session.execute(insert_into(session, Backtest).on_conflict_do_nothing(), new)
    for item in items:
        if item.task_id in old:
            columns = {name: value for name, value in item.columns.items() if name not in _KEPT}
            session.execute(update(Backtest).where(Backtest.task_id == item.task_id).values(columns))
    ids = [item.task_id for item in items]
    found = session.execute(select(Backtest.task_id, Backtest.parquet_path).where(Backtest.task_id.in_(ids)))
    paths = {row.task_id: row.parquet_path for row in found}
    return {item.task_id for item in items if paths[item.task_id] == item.columns.get("parquet_path")}


def _move_in(root: ResultRoot, item: Staged, old: Backtest | None) -> ResultFolder:
    """Give the staged folder the first free name; without an `old` row, leftovers of a killed import make room."""
    assert item.folder is not None  # noqa: S101
    place = root.free_name(item.task_id, 1, after=result_folders.revision_of(old) if old is not None else 0)
    if old is None and place.revision > 1:
        for number in range(1, place.revision):
            root.to_trash(result_folders.named(place.path.parent, item.task_id, number).path)
        place = root.free_name(item.task_id, 1)
    if place.revision != item.columns["revision"]:
        item.columns |= {"revision": place.revision, "parquet_path": place.parquet_path}
        _write_manifest(item, Backtest(**item.columns))
    if not root.take_name(item.folder, place, on_step=lambda step: None):
        raise DiskProblem(place.path, "another process took this name, without the lock of the results")
    item.place = place
    return place


def _write_manifest(item: Staged, row: Backtest) -> None:
    if item.folder is None:
        return
    with disk_problems(item.folder):
        path = item.folder / manifest.MANIFEST
        path.write_bytes(manifest.dump(row, item.columns))
        fsync_file(path)
        fsync_dir(item.folder)


def _to_trash(root: ResultRoot, row: Backtest) -> None:
    with suppress(ResultMissing, DiskProblem):  # what is gone already needs no trash; the rest `reconcile` puts there
        root.to_trash(root.of_row(row).path)
