"""kill -9 after every step of a backup, a prune and a restore, full disks, dead servers: then again, and all is sound.

Also: a backup while results are saved, deleted and purged beside it.
"""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from storage_core import backtest_keeping, backup, backup_prune, backup_sources, reconcile
from storage_core.backup import STEPS
from storage_core.backup_errors import TargetNotEmpty
from storage_core.backup_store import backup_store
from storage_core.backup_verify import verify
from storage_core.backup_watcher import Watcher
from storage_core.db import make_engine, session_scope, utc_now
from storage_core.errors import DiskProblem
from storage_core.models import Backtest
from storage_core.object_errors import ObjectError, StoreUnreachable
from storage_core.object_s3 import shared_provider
from storage_core.restore import MARK, Target, restore
from storage_core.restore import STEPS as RESTORE_STEPS
from storage_core.settings import Settings
from tests.s3 import s3_server
from tests.s3_faults import misbehaving
from tests.services import free_port
from tests.storage_core.crashing_backups import die_in_backup, die_in_prune, die_in_restore, killed
from tests.storage_core.installation import (
    SMALL,
    SQLITE,
    all_bytes,
    all_rows,
    client_programs,
    empty_database,
    filled,
)
from tests.storage_core.sound import saved, sound_tables

__all__ = ["client_programs", "empty_database"]


@SQLITE
def test_killed_after_any_step_of_a_backup(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    filled(engine, settings)
    store = backup_store(settings)
    for count, step in enumerate(STEPS):
        saved(engine, settings, sound_tables(trades=4, bars=20 + count))
        before = len(store.ids())
        killed(die_in_backup, settings, step, os.environ["PATH"])
        assert len(store.ids()) == before + (step == "committed"), "the manifest is the commit point"
        assert verify(store).findings == []
        later = utc_now() + timedelta(hours=count + 1)
        again = backup.create(engine, settings, now=later)
        if step in ("files", "list", "checked", "committed"):
            assert again.added_count == 0, "what was sent is not sent again"
        assert verify(store, [again.id]).findings == []
        assert not any((settings.data_dir / backup.WORK).iterdir())
    folder = tmp_path / "there"
    restore(store, "latest", Target(folder=folder, database_url=f"sqlite:///{folder}/db.sqlite3"))
    assert all_rows(f"sqlite:///{folder}/db.sqlite3") == all_rows(settings.database_url)
    assert all_bytes(replace(settings, data_dir=folder)) == all_bytes(settings)


class Stopped(Exception):
    """Somebody pressed cancel."""


@SQLITE
def test_stopped_at_any_step_no_backup_is_made(engine: Engine, settings: Settings) -> None:
    filled(engine, settings)

    def stop(*_: object) -> None:
        raise Stopped

    def stopper(last: str) -> Callable[[str], None]:
        return lambda step: stop() if step == last else None

    watchers = [Watcher(on_step=stopper(step)) for step in STEPS[:-1]]
    for watcher in (*watchers, Watcher(on_progress=stop), Watcher(check=stop)):
        with pytest.raises(Stopped):
            backup.create(engine, settings, watcher=watcher)
        assert backup_store(settings).ids() == []
        assert not any((settings.data_dir / backup.WORK).iterdir())
    assert backup.create(engine, settings).problems == ()


@SQLITE
@pytest.mark.parametrize("step", ["read", "manifests", "swept"])
def test_killed_after_any_step_of_a_prune(engine: Engine, settings: Settings, step: str) -> None:
    store, began = backup_store(settings), utc_now() - timedelta(hours=5)
    for hour in range(2):
        saved(engine, settings, sound_tables(trades=4, bars=20 + hour))
        backup.create(engine, settings, now=began + timedelta(minutes=hour))
    killed(die_in_prune, settings, step)
    assert verify(store).findings == []
    backup_prune.prune(engine, settings, now=utc_now() + timedelta(days=2))
    assert verify(store).findings == []
    newest = store.manifest(store.find("latest"))
    named = {file.content.sha256 for file in store.files(newest)} | {newest.files.sha256}
    assert {content.sha256 for content, _ in store.contents()} == named | {newest.database.content.sha256}


@pytest.mark.parametrize("step", RESTORE_STEPS)
def test_killed_after_any_step_of_a_restore(
    engine: Engine, settings: Settings, tmp_path: Path, empty_database: str, step: str
) -> None:
    saved(engine, settings, SMALL)
    made = backup.create(engine, settings)
    store, target = backup_store(settings), Target(folder=tmp_path / "restored", database_url=empty_database)
    killed(die_in_restore, settings, target, step, os.environ["PATH"])
    assert (target.folder / MARK).exists() == (step != "restored")
    if step == "restored":
        with pytest.raises(TargetNotEmpty):
            restore(store, made.id, target)
    else:
        restore(store, made.id, target)
    assert not (target.folder / MARK).exists()
    assert all_rows(empty_database) == all_rows(settings.database_url)
    assert all_bytes(replace(settings, data_dir=target.folder)) == all_bytes(settings)


def test_a_backup_beside_saves_deletions_and_purges_is_consistent(
    engine: Engine, settings: Settings, tmp_path: Path, empty_database: str
) -> None:
    """Every row of the dump that names a result has all files of it in the backup."""
    for count in range(6):
        saved(engine, settings, sound_tables(trades=4, bars=20 + count))
    stop, others = threading.Event(), make_engine(settings.database_url)

    def save() -> None:
        count = 0
        while not stop.is_set():
            count += 1
            saved(others, settings, sound_tables(trades=4, bars=50 + count % 7))

    def take_away() -> None:
        while not stop.is_set():
            with session_scope(others) as session:
                oldest = session.query(Backtest.task_id).filter_by(status="completed", deleted_at=None).first()
                if oldest is not None:
                    backtest_keeping.delete(session, oldest[0], by="test", now=utc_now() - timedelta(days=8))
            backtest_keeping.purge(others, settings)

    threads = [threading.Thread(target=work) for work in (save, take_away)]
    for thread in threads:
        thread.start()
    try:
        found = [backup.create(engine, settings) for _ in range(3)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        others.dispose()
    assert [made.problems for made in found] == [(), (), ()]
    store = backup_store(settings)
    folder = tmp_path / "restored"
    restore(store, found[-1].id, Target(folder=folder, database_url=empty_database))
    there = replace(settings, data_dir=folder, database_url=empty_database)
    copy = make_engine(empty_database)
    report = reconcile.reconcile(copy, there, deep=True)
    copy.dispose()
    assert report.damaged == {}
    assert not report.trashed
    with_files = {path.parent.name for path in (folder / "results/backtests").glob("*/*")}
    assert len(with_files) == found[-1].result_count


@SQLITE
def test_a_result_that_is_purged_between_dump_and_copy_is_in_the_backup(engine: Engine, settings: Settings) -> None:
    task_id = saved(engine, settings, SMALL)
    with session_scope(engine) as session:
        backtest_keeping.delete(session, task_id, by="test", now=utc_now() - timedelta(days=8))

    def purge_now(step: str) -> None:
        if step == "database":
            assert backtest_keeping.purge(engine, settings) == [task_id]

    made = backup.create(engine, settings, watcher=Watcher(on_step=purge_now))
    assert (made.problems, made.result_count, made.file_count) == ((), 1, 4)


@SQLITE
def test_files_are_found_in_the_trash_by_their_name(settings: Settings, tmp_path: Path) -> None:
    source = backup_sources.FolderSource(tmp_path)
    assert source.stamp("backtests/a/x") is None
    with pytest.raises(FileNotFoundError):
        source.open("backtests/a/x")
    put_away = tmp_path / ".trash" / "a.0000000001"
    put_away.mkdir(parents=True)
    (put_away / "x").write_bytes(b"here")
    with source.open("backtests/a/x") as stream:
        assert stream.read() == b"here"


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of its own at `folder`; only root can make one."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can only be mounted by root")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@SQLITE
@pytest.mark.parametrize("place", ["backups", backup.WORK])
def test_a_full_disk_leaves_no_backup_and_the_next_one_goes_on(engine: Engine, settings: Settings, place: str) -> None:
    saved(engine, settings, sound_tables(trades=2_000, bars=20_000))
    folder = settings.data_dir / place
    with small_disk(folder, "100k"):
        with pytest.raises(DiskProblem, match=r"No space left|disk is full|database or disk") as caught:
            backup.create(engine, settings)
        assert not caught.value.permanent
        assert backup_store(settings).ids() == []
        subprocess.run(["mount", "-o", "remount,size=50m", str(folder)], check=True)
        backup.create(engine, settings)
        assert verify(backup_store(settings)).findings == []


@pytest.fixture
def in_s3(settings: Settings) -> Iterator[Settings]:
    """Backups in a bucket of rclone's, which is asked through `tests.s3_faults`."""
    running = s3_server("rclone")
    with running.provider() as made, misbehaving(running.url) as proxy:
        access = running.access(endpoint_url=proxy.url)
        bucket = made.where.removeprefix("s3://").partition("/")[0]
        yield replace(settings, backup_uri=f"s3://{bucket}/backups", s3=access)
        proxy.forget()
    shared_provider.cache_clear()


@SQLITE
def test_an_unreachable_store_is_named_and_leaves_no_backup(engine: Engine, settings: Settings) -> None:
    saved(engine, settings, SMALL)
    access = replace(s3_server("rclone").access(), endpoint_url=f"http://127.0.0.1:{free_port()}")
    away = replace(settings, backup_uri="s3://some-bucket/backups", s3=access)
    provider = shared_provider(away.backups_uri, access)
    quick = replace(provider._client.patience, attempts=2, first_pause=0.01)
    provider._client.patience = quick
    with pytest.raises(StoreUnreachable, match="s3://some-bucket/backups: the store cannot be reached") as caught:
        backup.create(engine, away)
    assert not caught.value.permanent
    assert not any((settings.data_dir / backup.WORK).iterdir())
    shared_provider.cache_clear()


@SQLITE
def test_a_store_that_refuses_half_way_leaves_no_backup_and_the_next_one_goes_on(
    engine: Engine, in_s3: Settings
) -> None:
    filled(engine, in_s3)
    with misbehaving(s3_server("rclone").url) as proxy:
        broken = replace(in_s3, s3=replace(in_s3.s3, endpoint_url=proxy.url))
        proxy.will("AccessDenied", "PUT", having="manifests", times=1)
        with pytest.raises(ObjectError, match=r"manifests/.*access denied"):
            backup.create(engine, broken)
    assert backup_store(in_s3).ids() == []
    made = backup.create(engine, in_s3)
    assert made.added_count == 0, "the contents were there already"
    assert verify(backup_store(in_s3)).findings == []
