"""Looking back: what earlier migrations stored against its backups, and what the index promises but nobody has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

from sqlalchemy import ColumnElement, Engine, func, select

from storage_core import legacy_check, legacy_find, legacy_parse
from storage_core.db import make_engine, session_scope
from storage_core.errors import StorageError
from storage_core.legacy_batch import Options
from storage_core.legacy_errors import BadLegacyFile
from storage_core.legacy_find import INDEX, RESULTS, Copy, Unit
from storage_core.legacy_parse import Rules
from storage_core.legacy_report import Failure, Outcome
from storage_core.models import Backtest
from storage_core.settings import Settings

_ROWS_AT_ONCE = 200


def verify_backups(settings: Settings, options: Options, units: Sequence[Unit]) -> tuple[int, list[Failure]]:
    """Compare every migrated result with its backup, value by value; returns how many were equal, and the others.

    Those whose file is still in the source are not asked for a whole backup: a run that was broken off may have moved
    only some files of it, and the migration itself compares them.
    """
    engine, waiting = make_engine(settings.database_url), {unit.task_id for unit in units}
    equal, failures = 0, []
    try:
        for row in migrated_rows(engine):
            folder = options.backup_dir / f"{row.task_id}"
            if row.task_id in waiting and not _is_whole(row, folder):
                continue
            try:
                _compare(settings, row, folder, options.rules)
            except BadLegacyFile as error:
                failures.append(Failure(str(folder), row.task_id, error.kind, error.field, error.reason))
            except (StorageError, OSError) as error:
                failures.append(Failure(str(folder), row.task_id, "damaged", "", f"cannot be compared: {error}"))
            else:
                equal += 1
    finally:
        engine.dispose()
    return equal, failures


def missing_files(settings: Settings, source: Path, units: Sequence[Unit]) -> list[Outcome]:
    """A failure for each run that the index names, that no file has and that was not migrated before."""
    missing = legacy_find.missing_from(source, units)
    if not missing:
        return []
    engine, known = make_engine(settings.database_url), set[UUID]()
    try:
        with session_scope(engine) as session:
            for start in range(0, len(missing), _ROWS_AT_ONCE):
                some = missing[start : start + _ROWS_AT_ONCE]
                known.update(session.scalars(select(Backtest.task_id).where(Backtest.task_id.in_(some))))
    finally:
        engine.dispose()
    reason = f"does not exist, though {RESULTS}/{INDEX} names this run"
    lost = [task_id for task_id in missing if task_id not in known]
    return [Outcome(failure=Failure(f"{RESULTS}/{one}.json", one, "missing", "", reason)) for one in lost]


def migrated_rows(engine: Engine, task_ids: Sequence[UUID] = ()) -> Iterator[Backtest]:
    """The rows of all migrated results (or of those of `task_ids`), in short transactions."""
    wanted = select(Backtest).where(*_migrated(task_ids))
    last = UUID(int=0)
    while True:
        with session_scope(engine) as session:
            query = wanted.where(Backtest.task_id > last).order_by(Backtest.task_id).limit(_ROWS_AT_ONCE)
            rows = session.scalars(query).all()
        if not rows:
            return
        yield from rows
        last = rows[-1].task_id


def count_migrated(engine: Engine, task_ids: Sequence[UUID] = ()) -> int:
    """How many rows `migrated_rows` gives."""
    with session_scope(engine) as session:
        return session.scalar(select(func.count()).select_from(Backtest).where(*_migrated(task_ids))) or 0


def _migrated(task_ids: Sequence[UUID]) -> list[ColumnElement[bool]]:
    wanted = [Backtest.source == "legacy", Backtest.deleted_at.is_(None), Backtest.status.in_(("completed", "failed"))]
    return [*wanted, Backtest.task_id.in_(task_ids)] if task_ids else wanted


def backup_of(row: Backtest, folder: Path) -> Copy | None:
    """The copy in a backup folder that is this row's, by its sha256; paths relative to the folder."""
    manifests = sorted(path for path in folder.glob("manifest*.json"))
    if row.status == "failed":
        own = next((path.name for path in manifests if _sha256(path) == row.legacy_sha256), None)
        return Copy(None, own) if own else None
    results = sorted(path for path in folder.glob("*.json") if path not in manifests)
    own = next((path.name for path in results if _sha256(path) == row.legacy_sha256), None)
    kept = (_manifest_of(row) or "").encode()
    manifest = next((path.name for path in manifests if path.read_bytes() == kept), None)
    return Copy(own, manifest) if own else None


def _is_whole(row: Backtest, folder: Path) -> bool:
    """Whether the backup has all files that were migrated."""
    copy = backup_of(row, folder)
    return copy is not None and (copy.manifest is not None or _manifest_of(row) is None)


def _manifest_of(row: Backtest) -> str | None:
    """The manifest that was migrated with the result, if there was one."""
    kept: str | None = ((row.metadata_ or {}).get("legacy") or {}).get("manifest")
    return kept


def _compare(settings: Settings, row: Backtest, folder: Path, rules: Rules) -> None:
    copy = backup_of(row, folder)
    if copy is None:
        raise BadLegacyFile(
            "no-backup", "", f"holds no backup of this result (no file with sha256 {row.legacy_sha256})"
        )
    source = legacy_parse.read_copy(folder, copy, rules)
    legacy_check.check_stored(settings, row, legacy_parse.convert(source, row.task_id, rules))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
