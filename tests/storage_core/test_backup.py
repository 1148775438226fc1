"""A backup restored into an empty place is what was backed up, row by row and byte by byte; again costs little."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from storage_core import backup
from storage_core.backup_sources import FolderSource
from storage_core.backup_store import backup_store
from storage_core.bars import bar_store_for
from storage_core.object_s3 import shared_provider
from storage_core.restore import MARK, Target, restore
from storage_core.settings import Settings
from tests.s3 import emptied, s3_server
from tests.storage_core.installation import (
    SMALL,
    SQLITE,
    add_bars,
    all_bytes,
    all_rows,
    client_programs,
    empty_database,
    filled,
)
from tests.storage_core.sound import saved, sound_tables

__all__ = ["client_programs", "empty_database"]


OTHER = sound_tables(trades=6, bars=12)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket."""
    running = s3_server("rclone")
    with running.provider() as made:
        yield made.where
        shared_provider.cache_clear()


@pytest.fixture
def in_s3(settings: Settings, bucket: str) -> Settings:
    """Results and backups under two prefixes of an empty bucket."""
    access = s3_server("rclone").access()
    emptied(shared_provider(bucket, access))
    return replace(settings, results_uri=f"{bucket}/results", backup_uri=f"{bucket}/backups", s3=access)


def restored(settings: Settings, folder: Path, database_url: str, results: str | None = None) -> Settings:
    """Restore the newest backup there; the settings of what came of it."""
    provider = shared_provider(results, settings.s3) if results else None
    restore(backup_store(settings), "latest", Target(folder=folder, database_url=database_url, results=provider))
    assert not (folder / MARK).exists()
    return replace(settings, data_dir=folder, database_url=database_url, results_uri=results)


def test_every_row_and_every_byte_comes_back(
    engine: Engine, settings: Settings, tmp_path: Path, empty_database: str
) -> None:
    filled(engine, settings)
    rows, files = all_rows(settings.database_url), all_bytes(settings)
    manifest = backup.create(engine, settings)
    assert manifest.problems == ()
    assert (manifest.file_count, manifest.result_count) == (len(files), 4)
    there = restored(settings, tmp_path / "restored", empty_database)
    assert all_rows(there.database_url) == rows
    assert all_bytes(there) == files


@SQLITE
def test_results_and_backups_in_s3_come_back_in_s3(
    engine: Engine, in_s3: Settings, tmp_path: Path, empty_database: str, bucket: str
) -> None:
    filled(engine, in_s3)
    rows, files = all_rows(in_s3.database_url), all_bytes(in_s3)
    manifest = backup.create(engine, in_s3)
    assert manifest.problems == ()
    there = restored(in_s3, tmp_path / "restored", empty_database, f"{bucket}/again")
    assert all_rows(there.database_url) == rows
    assert all_bytes(replace(there, strategies_dir=None)) == files
    assert len(bar_store_for(there).read("KRW-BTC", "1h")) == 30
    on_disk = restored(in_s3, tmp_path / "elsewhere", f"sqlite:///{tmp_path}/elsewhere.sqlite3")
    kept = {name: data for name, data in files.items() if not name.startswith("results/bars/")}
    bars = {"bars/KRW-BTC_1h.parquet": next(data for name, data in files.items() if name.startswith("results/bars/"))}
    assert all_bytes(on_disk) == kept | bars
    assert len(bar_store_for(on_disk).read("KRW-BTC", "1h")) == 30


@SQLITE
def test_a_second_backup_sends_only_what_is_new(engine: Engine, settings: Settings) -> None:
    filled(engine, settings)
    first = backup.create(engine, settings)
    saved(engine, settings, SMALL)
    second = backup.create(engine, settings)
    assert second.file_count == first.file_count + 4
    assert second.added_count == 1, "the manifest of the new result; its files have the bytes of another"
    add_bars(settings, "KRW-ETH")
    third = backup.create(engine, settings)
    assert third.file_count == second.file_count + 1
    assert third.added_count == 1


@SQLITE
def test_nothing_that_is_there_already_is_read_again(engine: Engine, settings: Settings) -> None:
    filled(engine, settings)
    first = backup.create(engine, settings)
    for path in (settings.results_dir / "backtests").glob("*/*.parquet"):
        path.write_bytes(b"damaged since")
    second = backup.create(engine, settings)
    assert (second.added_count, second.files) == (0, first.files)
    assert second.problems == ()


@SQLITE
def test_what_is_missing_or_damaged_is_named_and_the_rest_is_backed_up(
    engine: Engine, settings: Settings, tmp_path: Path, empty_database: str
) -> None:
    filled(engine, settings)
    victim = saved(engine, settings, OTHER)
    folder = settings.results_dir / "backtests" / str(victim)
    (folder / "symbol_signals.parquet").write_bytes(b"not what was stored")
    (folder / "metadata.json").unlink()
    manifest = backup.create(engine, settings)
    found = {problem.path: problem.problem for problem in manifest.problems}
    place = f"results/backtests/{victim}"
    assert found.keys() == {f"{place}/metadata.json", f"{place}/symbol_signals.parquet"}
    assert found[f"{place}/metadata.json"] == "it does not exist"
    assert "damaged" in found[f"{place}/symbol_signals.parquet"]
    there = restored(settings, tmp_path / "restored", empty_database)
    assert all_rows(there.database_url) == all_rows(settings.database_url)
    assert len(all_bytes(there)) == len(all_bytes(settings)) - 1


@SQLITE
def test_a_file_whose_name_no_backup_can_have_is_named(engine: Engine, settings: Settings) -> None:
    folder = settings.data_dir / "strategies"
    (folder / "__pycache__").mkdir(parents=True)
    for name in (b"good.py", b"bad-\xff.py", b"back\\slash.py", b".hidden.py", b"__pycache__/bad-\xff.pyc"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_text("x = 1")
    manifest = backup.create(engine, settings)
    assert {problem.path: problem.problem for problem in manifest.problems} == {
        "strategies/bad-\\udcff.py": "its name cannot be kept: it holds characters that cannot be printed",
        "strategies/back\\slash.py": "its name cannot be kept: it holds a backslash",
    }
    assert manifest.file_count == 1


@SQLITE
def test_bars_that_are_deleted_while_the_backup_runs_are_no_problem(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(engine, settings)
    stamp, deleted = FolderSource.stamp, list[str]()

    def deleted_first(self: FolderSource, path: str) -> str | None:
        if path.endswith(".parquet") and "/" not in path:
            (settings.bars_dir / path).unlink()
            deleted.append(path)
        return stamp(self, path)

    monkeypatch.setattr(FolderSource, "stamp", deleted_first)
    manifest = backup.create(engine, settings)
    assert deleted
    assert (manifest.problems, manifest.result_count) == ((), 4)
