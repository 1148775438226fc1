"""A migration leaves what the storage mode and the compression ask for, and every value comes back from it."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from storage_core import modes
from storage_core.db import session_scope
from storage_core.models import Backtest
from storage_core.reconcile import reconcile
from storage_core.settings import Settings
from storage_core.stores import missing
from tests.storage_core.legacy import SAMPLES, a_copy, assert_comes_back, comparable, files, rows, run

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ENDED_WELL = 7  # of the eight samples one is the manifest of a failed run


def folder_of(settings: Settings, row: Backtest) -> Path:
    return settings.results_dir / str(row.parquet_path)


@SQLITE
@pytest.mark.parametrize("mode", [modes.JSON_ONLY, modes.DUAL_WRITE])
def test_what_the_mode_says_is_there_and_everything_comes_back(
    engine: Engine, settings: Settings, tmp_path: Path, mode: str
) -> None:
    settings = replace(settings, result_storage_mode=mode)
    legacy = a_copy(tmp_path / "legacy")
    planned = run(settings, legacy, dry_run=True)
    done = run(settings, legacy)
    assert comparable(planned) == comparable(done)
    assert (done.migrated, done.failures) == (8, [])
    stored = [row for row in rows(engine).values() if row.status == "completed"]
    assert len(stored) == ENDED_WELL
    expected = {modes.file_name(name) for side in modes.MODES[mode] for name in modes.FILES[side]} | {"metadata.json"}
    for row in stored:
        assert row.stores == modes.named(modes.MODES[mode])
        assert {path.name for path in folder_of(settings, row).iterdir()} == expected
    with session_scope(engine) as session:
        assert not any(missing(session, mode).values())
    report = reconcile(engine, settings, deep=True)
    assert (report.changed, report.damaged) == (False, {})
    assert_comes_back(settings, files(SAMPLES), tmp_path / "back", legacy / "backups")


@SQLITE
def test_the_compression_is_the_one_that_was_chosen(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    settings = replace(settings, parquet_compression="snappy")
    assert run(settings, a_copy(tmp_path / "legacy")).migrated == 8
    for row in rows(engine).values():
        if row.status == "completed":
            assert row.metadata_["compression"] == "snappy"
            about = pq.read_metadata(folder_of(settings, row) / "performance_curve.parquet")
            groups = [about.row_group(number).column(0) for number in range(about.num_row_groups)]
            assert {group.compression for group in groups} <= {"SNAPPY"}


@SQLITE
def test_a_parquet_side_that_fails_under_dual_write_is_noted_and_told(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    """As in a save: the JSON is stored, the row says what is missing, and a repair writes it."""
    from storage_core.events import events
    from storage_core.repair import repair

    settings = replace(settings, result_storage_mode=modes.DUAL_WRITE, parquet_compression="no such thing")
    legacy = a_copy(tmp_path / "legacy")
    assert run(settings, legacy).migrated == 8
    stored = [row for row in rows(engine).values() if row.status == "completed"]
    assert {row.stores for row in stored} == {modes.JSON}
    assert all("no such thing" in str(row.metadata_["missing"]) for row in stored)
    with session_scope(engine) as session:
        kinds = [[event.kind for event in events(session, row.task_id)] for row in stored]
    assert kinds == [["imported", "side_missing"]] * ENDED_WELL
    assert len(repair(engine, replace(settings, parquet_compression="zstd")).repaired) == ENDED_WELL
    assert {row.stores for row in rows(engine).values() if row.status == "completed"} == {"json+parquet"}
