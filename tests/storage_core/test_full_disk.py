"""Results on a disk that is full or read-only: the error names it, nothing is half there, and later it works."""

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from storage_core import result_store
from storage_core.backtests import Claim
from storage_core.errors import DiskProblem
from storage_core.modes import DUAL_WRITE, JSON_ONLY
from storage_core.reconcile import reconcile
from storage_core.result_store import ResultTables
from storage_core.settings import Settings
from tests.storage_core.examples import METADATA, METRICS, claimed, row, same_bits, tables
from tests.storage_core.legacy import SAMPLES, a_copy, files, run

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
SMALL, LARGE = tables(5), tables(60_000)
Remount = Callable[[str], None]


@pytest.fixture
def disk(settings: Settings) -> Iterator[Remount]:
    """The results on a file system of their own of 1 MB, and how to mount it with other options."""

    def mount(*options: str) -> None:
        done = subprocess.run(["mount", *options, str(settings.results_dir)], capture_output=True, check=False)
        if os.geteuid() != 0 or done.returncode:
            pytest.skip("a small file system can only be mounted by root")

    settings.results_dir.mkdir(parents=True)
    mount("-t", "tmpfs", "-o", "size=1m", "none")
    try:
        yield lambda options: mount("-o", f"remount,{options}")
    finally:
        subprocess.run(["umount", str(settings.results_dir)], check=True)


def save(engine: Engine, settings: Settings, claim: Claim, made: ResultTables) -> None:
    result_store.save(engine, settings, claim, made, metrics=METRICS, metadata=METADATA)


def assert_whole(engine: Engine, settings: Settings, claim: Claim, made: ResultTables) -> None:
    stored = row(engine, claim.task_id)
    assert stored.status == "completed"
    for name, table in made.by_name().items():
        assert same_bits(result_store.read_table(settings, stored, name), table)


def everything_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.mark.parametrize("mode", [JSON_ONLY, DUAL_WRITE])
def test_a_full_disk_leaves_nothing_half_and_the_attempt_can_save_later(
    engine: Engine, settings: Settings, disk: Remount, mode: str
) -> None:
    settings = replace(settings, result_storage_mode=mode)
    kept, large = claimed(engine), claimed(engine)
    save(engine, settings, kept, SMALL)
    before = everything_below(settings.results_dir)
    with pytest.raises(DiskProblem, match="No space left") as caught:
        save(engine, settings, large, LARGE)
    assert not caught.value.permanent
    assert str(settings.results_dir) in str(caught.value)
    assert everything_below(settings.results_dir) == before
    assert row(engine, large.task_id).status == "running"
    assert_whole(engine, settings, kept, SMALL)
    assert not reconcile(engine, settings).changed
    disk("size=64m")
    save(engine, settings, large, LARGE)
    assert_whole(engine, settings, large, LARGE)


def test_a_read_only_disk_is_named_and_still_read(engine: Engine, settings: Settings, disk: Remount) -> None:
    kept, later = claimed(engine), claimed(engine)
    save(engine, settings, kept, SMALL)
    disk("ro")
    with pytest.raises(DiskProblem, match="Read-only file system"):
        save(engine, settings, later, SMALL)
    assert_whole(engine, settings, kept, SMALL)
    assert row(engine, later.task_id).status == "running"
    disk("rw")
    save(engine, settings, later, SMALL)
    assert_whole(engine, settings, later, SMALL)


def test_a_migration_onto_a_full_disk_leaves_every_file_and_goes_on_later(
    engine: Engine, settings: Settings, disk: Remount, tmp_path: Path
) -> None:
    legacy = a_copy(tmp_path / "legacy")
    filler = settings.results_dir / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(bytes(2**21))
    report = run(settings, legacy)
    completed = {path for path in files(SAMPLES) if path.endswith(".json")}
    assert {failure.kind for failure in report.failures} == {"not-stored"}
    assert report.failures
    assert {failure.path for failure in report.failures} <= completed
    assert all((legacy / failure.path).is_file() for failure in report.failures)
    assert not reconcile(engine, settings).damaged
    filler.unlink()
    again = run(settings, legacy)
    assert (again.failures, report.migrated + again.migrated) == ([], 8)
    assert not reconcile(engine, settings, deep=True).damaged
