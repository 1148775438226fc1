"""Storage modes with results in S3: each form is sent, read by another machine, and repaired."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from storage_core import modes
from storage_core.db import utc_now
from storage_core.modes import DUAL_WRITE, JSON_ONLY, MODES, PARQUET_ONLY
from storage_core.object_s3 import shared_provider
from storage_core.object_store import StorageProvider
from storage_core.reconcile import reconcile
from storage_core.repair import repair
from storage_core.settings import Settings
from tests.s3 import emptied, s3_server
from tests.storage_core.examples import row, tables
from tests.storage_core.test_modes import SQLITE, TWO, assert_read_back, in_mode, saved

MADE = tables(200, symbols=TWO)
SERVER = "rclone"


@pytest.fixture(scope="module")
def bucket() -> Iterator[StorageProvider]:
    """A bucket; connecting takes longer than the tests."""
    running = s3_server(SERVER)
    with running.provider() as made:
        yield shared_provider(made.where, running.access())
        shared_provider.cache_clear()


@pytest.fixture
def machine(bucket: StorageProvider, settings: Settings, tmp_path: Path) -> Settings:
    """A machine with a disk of its own and an empty bucket."""
    where = emptied(bucket).where
    return replace(settings, data_dir=tmp_path / "one", results_uri=where, s3=s3_server(SERVER).access())


def names(bucket: StorageProvider, place: str | None) -> set[str]:
    return {info.key.rpartition("/")[2] for info in bucket.list(str(place))}


def expected(*sides: str) -> set[str]:
    return {"metadata.json", *(modes.file_name(name) for side in sides for name in modes.FILES[side])}


@SQLITE
@pytest.mark.parametrize("mode", MODES)
def test_another_machine_reads_what_one_saved(
    engine: Engine, machine: Settings, bucket: StorageProvider, tmp_path: Path, mode: str
) -> None:
    stored = saved(engine, in_mode(machine, mode), MADE)
    assert names(bucket, stored.parquet_path) == expected(*MODES[mode])
    other = replace(machine, data_dir=tmp_path / "two")
    assert_read_back(other, stored, MADE)
    report = reconcile(engine, other, deep=True)
    assert (report.changed, report.damaged, report.foreign) == (False, {}, [])


@SQLITE
@pytest.mark.parametrize(("before", "after"), [(JSON_ONLY, PARQUET_ONLY), (PARQUET_ONLY, DUAL_WRITE)])
def test_repair_after_a_switch(
    engine: Engine, machine: Settings, bucket: StorageProvider, tmp_path: Path, before: str, after: str
) -> None:
    stored = saved(engine, in_mode(machine, before), MADE)
    elsewhere = in_mode(replace(machine, data_dir=tmp_path / "two"), after)
    assert list(repair(engine, elsewhere).repaired) == [stored.task_id]
    fixed = row(engine, stored.task_id)
    assert fixed.parquet_path != stored.parquet_path
    assert names(bucket, fixed.parquet_path) == expected("json", "parquet")
    assert_read_back(machine, fixed, MADE)
    assert_read_back(machine, stored, MADE)
    reconcile(engine, machine, now=utc_now() + timedelta(minutes=1))
    assert repair(engine, elsewhere, deep=True).repaired == {}
    assert reconcile(engine, machine, deep=True).damaged == {}


@SQLITE
def test_a_parquet_object_that_is_gone_is_written_again(
    engine: Engine, machine: Settings, bucket: StorageProvider, tmp_path: Path
) -> None:
    settings = in_mode(machine, DUAL_WRITE)
    stored = saved(engine, settings, MADE)
    bucket.delete(f"{stored.parquet_path}symbol_signals.parquet")
    assert_read_back(replace(settings, data_dir=tmp_path / "two"), stored, MADE)
    assert list(repair(engine, settings).repaired) == [stored.task_id]
    fixed = row(engine, stored.task_id)
    assert names(bucket, fixed.parquet_path) == expected("json", "parquet")
    assert_read_back(replace(settings, data_dir=tmp_path / "three"), fixed, MADE)


@SQLITE
def test_a_manifest_that_is_gone_is_written_again(
    engine: Engine, machine: Settings, bucket: StorageProvider, tmp_path: Path
) -> None:
    stored = saved(engine, machine, MADE)
    assert reconcile(engine, machine).damaged == {}
    bucket.delete(f"{stored.parquet_path}metadata.json")
    assert "metadata.json is damaged: it does not exist" in reconcile(engine, machine).damaged[stored.task_id]
    assert repair(engine, machine).repaired == {stored.task_id: "metadata.json written from the row"}
    fixed = row(engine, stored.task_id)
    assert names(bucket, fixed.parquet_path) == expected("parquet")
    assert_read_back(replace(machine, data_dir=tmp_path / "two"), fixed, MADE)
    assert repair(engine, machine, deep=True).repaired == reconcile(engine, machine, deep=True).damaged == {}
