"""Restore goes only into an empty place and says what differs; a rehearsal finds what a restore would bring."""

import gzip
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, inspect, text

from storage_core import backup, backup_lock, backup_rehearse, postgres_programs, restore_database
from storage_core.backup_errors import (
    BackupDamaged,
    BackupRunning,
    DatabaseDamaged,
    NoRoomToRehearse,
    ProgramFailed,
    ProgramMissing,
    RestoreDiffers,
    TargetNotEmpty,
    UnknownFormat,
    WrongDatabase,
)
from storage_core.backup_manifest import Content, dump, parse
from storage_core.backup_rehearse import rehearse
from storage_core.backup_store import backup_store
from storage_core.object_local import LocalStorageProvider
from storage_core.restore import Target, restore
from storage_core.settings import Settings
from tests.storage_core.installation import (
    SMALL,
    SQLITE,
    all_bytes,
    all_rows,
    client_programs,
    empty_database,
    filled,
)
from tests.storage_core.sound import saved

__all__ = ["client_programs", "empty_database"]

POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def snapshot_of(folder: Path) -> dict[str, bytes]:
    return {f"{path.relative_to(folder)}": path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@SQLITE
@pytest.mark.parametrize("there", ["a file", "a hidden file", "an empty folder", "the mark of another restore"])
def test_a_folder_that_is_not_empty_is_refused_and_left_as_it_is(
    engine: Engine, settings: Settings, tmp_path: Path, there: str
) -> None:
    saved(engine, settings, SMALL)
    backup.create(engine, settings)
    folder = tmp_path / "target"
    folder.mkdir()
    makers: dict[str, Callable[[], object]] = {
        "a file": lambda: (folder / "mine.txt").write_text("mine"),
        "a hidden file": lambda: (folder / ".mine").write_text("mine"),
        "an empty folder": (folder / "mine").mkdir,
        "the mark of another restore": lambda: (folder / "RESTORING.json").write_text('{"backup": "another"}'),
    }
    makers[there]()
    before, names = snapshot_of(folder), sorted(folder.rglob("*"))
    with pytest.raises(TargetNotEmpty, match=r"is not empty.*Nothing was changed"):
        restore(backup_store(settings), "latest", Target(folder=folder, database_url=f"sqlite:///{folder}/db.sqlite3"))
    assert (snapshot_of(folder), sorted(folder.rglob("*"))) == (before, names)


def test_a_database_that_is_not_empty_is_refused_and_left_as_it_is(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    """The one that is backed up itself is the likeliest mistake."""
    filled(engine, settings)
    backup.create(engine, settings)
    before, folder = all_rows(settings.database_url), tmp_path / "target"
    with pytest.raises(TargetNotEmpty) as caught:
        restore(backup_store(settings), "latest", Target(folder=folder, database_url=settings.database_url))
    assert not folder.exists()
    assert all_rows(settings.database_url) == before
    assert ("the file exists" in str(caught.value)) or ("tables" in str(caught.value))


@SQLITE
def test_a_place_for_results_that_is_not_empty_is_refused(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    saved(engine, settings, SMALL)
    backup.create(engine, settings)
    results = LocalStorageProvider(settings.results_dir)
    folder = tmp_path / "target"
    target = Target(folder=folder, database_url=f"sqlite:///{folder}/db.sqlite3", results=results)
    with pytest.raises(TargetNotEmpty, match="backtests/"):
        restore(backup_store(settings), "latest", target)
    assert not folder.exists()


@SQLITE
def test_a_dump_does_not_go_into_another_kind_of_database(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    saved(engine, settings, SMALL)
    backup.create(engine, settings)
    target = Target(folder=tmp_path / "target", database_url="postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(WrongDatabase, match="holds a sqlite database, the target is postgresql"):
        restore(backup_store(settings), "latest", target)
    assert not target.folder.exists()


@SQLITE
def test_a_database_that_is_not_what_was_noted_is_told(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    filled(engine, settings)
    made = backup.create(engine, settings)
    wrong = replace(made.database, tables={**made.database.tables, "users": 7}, revision="0001")
    with pytest.raises(RestoreDiffers, match=r"schema has revision .*, not 0001; rows of users: 1, not 7"):
        restore_database.compare(wrong, settings.database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE users SET theme = 'dark'"))
    with pytest.raises(RestoreDiffers, match="sample of users: not what it was"):
        restore_database.compare(made.database, settings.database_url)


@SQLITE
def test_a_database_that_is_damaged_is_not_backed_up(engine: Engine, settings: Settings) -> None:
    for _ in range(20):
        saved(engine, settings, SMALL)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    path = Path(settings.database_url.removeprefix("sqlite:///"))
    data = bytearray(path.read_bytes())
    for page in range(4096 * 20, len(data), 4096):
        data[page : page + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(DatabaseDamaged, match="the database is damaged"):
        backup.create(engine, settings)
    assert backup_store(settings).ids() == []


@SQLITE
def test_a_backup_of_a_newer_release_is_named(engine: Engine, settings: Settings) -> None:
    made = backup.create(engine, settings)
    data = dump(made)
    assert parse(data, "here") == made
    newer = data.replace(b'"format": 1', b'"format": 2')
    with pytest.raises(BackupDamaged, match="its sha256 is not the one"):
        parse(newer, "here")
    document = json.loads(data)["backup"] | {"format": 2}
    plain = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    outer = {"sha256": hashlib.sha256(plain.encode()).hexdigest(), "backup": document}
    with pytest.raises(UnknownFormat, match="format 2, this release reads up to 1"):
        parse(json.dumps(outer).encode(), "here")


@SQLITE
def test_it_can_be_restored_by_hand_with_gunzip(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    """The promise that a backup outlives this product: plain files by sha256, a gzipped SQLite file."""
    filled(engine, settings)
    made = backup.create(engine, settings)
    store = backup_store(settings)
    copy = tmp_path / "by-hand.sqlite3"
    copy.write_bytes(gzip.decompress((Path(store.where) / store.key(made.database.content.sha256)).read_bytes()))
    assert all_rows(f"sqlite:///{copy}") == all_rows(settings.database_url)
    for line in gzip.decompress((Path(store.where) / store.key(made.files.sha256)).read_bytes()).splitlines():
        path, _, sha256, _ = json.loads(line)
        assert (Path(store.where) / store.key(sha256)).read_bytes() == (settings.data_dir / path).read_bytes()


def test_a_rehearsal_restores_compares_verifies_and_leaves_nothing(engine: Engine, settings: Settings) -> None:
    filled(engine, settings)
    rows, files = all_rows(settings.database_url), all_bytes(settings)
    made = backup.create(engine, settings)
    report = rehearse(engine, settings)
    assert report.sound
    assert (report.backup, report.files, report.results) == (made.id, len(files), 3)
    assert [(note.what, note.sound) for note in backup_store(settings).notes()] == [("rehearsed", True)]
    assert not any((settings.data_dir / backup.WORK).iterdir())
    assert (all_rows(settings.database_url), all_bytes(settings)) == (rows, files)
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            names = connection.scalars(text("SELECT datname FROM pg_database")).all()
        assert f"{engine.url.database}_rehearsal" not in names


@SQLITE
def test_a_rehearsal_of_a_damaged_backup_fails_and_is_noted(engine: Engine, settings: Settings) -> None:
    filled(engine, settings)
    made = backup.create(engine, settings)
    store = backup_store(settings)
    file = next(file for file in store.files(made) if file.path.endswith("symbol_signals.parquet"))
    (Path(store.where) / store.key(file.content.sha256)).write_bytes(b"something else")
    with pytest.raises(BackupDamaged, match=file.content.sha256):
        rehearse(engine, settings)
    assert [(note.what, note.sound) for note in store.notes()] == [("rehearsed", False)]
    assert not any((settings.data_dir / backup.WORK).iterdir())


@SQLITE
def test_a_rehearsal_needs_room_and_a_place_of_its_own(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = backup.create(engine, settings)
    huge = replace(made, id="20990101T000000Z", files=Content(made.files.sha256, 10**18))
    backup_store(settings).commit(huge)
    with pytest.raises(NoRoomToRehearse, match="bytes free"):
        rehearse(engine, settings)
    with backup_lock.only_one(engine, settings, backup_lock.REHEARSAL), pytest.raises(BackupRunning):
        rehearse(engine, settings, made.id)


@POSTGRESQL
def test_an_account_that_may_not_create_databases_is_told_what_to_do(engine: Engine, settings: Settings) -> None:
    backup.create(engine, settings)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("DROP ROLE IF EXISTS backup_tester"))
        connection.execute(text("CREATE ROLE backup_tester LOGIN PASSWORD 'x'"))
        try:
            connection.execute(text("SET ROLE backup_tester"))
            with pytest.raises(NoRoomToRehearse, match=r"ALTER ROLE .* CREATEDB"):
                backup_rehearse.create_scratch(connection, "never_made", owner="backup_tester")
        finally:
            connection.execute(text("RESET ROLE"))
            connection.execute(text("DROP ROLE backup_tester"))


@POSTGRESQL
def test_without_a_pg_dump_that_fits_nothing_is_backed_up_and_it_says_what_to_install(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(postgres_programs, "DEBIAN", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}")
    with pytest.raises(ProgramMissing, match=r"not found on PATH; install .*postgresql-client-\d+"):
        backup.create(engine, settings)
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n")
    old.chmod(0o755)
    with pytest.raises(ProgramMissing, match="only version 9 was found"):
        backup.create(engine, settings)
    assert backup_store(settings).ids() == []


@POSTGRESQL
def test_a_pg_dump_that_fails_says_why_and_hides_the_password(engine: Engine, settings: Settings) -> None:
    with engine.connect():
        pass
    program, _ = postgres_programs.find("pg_dump", engine.dialect.server_version_info[0])
    url = engine.url.set(password="do not show", database="there_is_none").render_as_string(hide_password=False)
    engine.dispose()
    with pytest.raises(ProgramFailed, match="there_is_none") as caught:
        postgres_programs.run(program, ["--format=custom", f"--file={os.devnull}"], database_url=url)
    assert "do not show" not in str(caught.value)


@POSTGRESQL
def test_a_dump_can_be_stopped(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop() -> None:
        raise Stop

    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    with pytest.raises(Stop):
        postgres_programs.run(slow, [], database_url=settings.database_url, check=stop)


@POSTGRESQL
def test_a_restore_leaves_statistics(engine: Engine, settings: Settings, tmp_path: Path, empty_database: str) -> None:
    filled(engine, settings)
    backup.create(engine, settings)
    restore(backup_store(settings), "latest", Target(folder=tmp_path / "restored", database_url=empty_database))
    there = create_engine(empty_database)
    with there.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM pg_stats WHERE tablename = 'backtest_results'")) > 0
        assert "backtest_results" in inspect(connection).get_table_names()
    there.dispose()
