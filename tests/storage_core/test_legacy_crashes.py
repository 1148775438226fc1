"""kill -9 at every step of a migration and at any moment, two migrations at once, and the ways back."""

import os
import random
import signal
import time
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine

from storage_core import legacy_find, legacy_move, result_folders
from storage_core.legacy_batch import STEPS, Batches
from storage_core.legacy_report import Skip
from storage_core.legacy_results import Options, migrate
from storage_core.legacy_rollback import roll_back
from storage_core.reconcile import reconcile
from storage_core.result_root import result_root
from storage_core.settings import Settings
from tests.s3 import s3_server
from tests.storage_core.legacy import (
    BASIC,
    SAMPLES,
    a_copy,
    assert_comes_back,
    comparable,
    files,
    only,
    options,
    rows,
    run,
    sample,
)

KILLS = 12
MANY = 24
_processes = get_context("forkserver")
_processes.set_forkserver_preload([__name__, "storage_core.result_files", "psycopg", "pandas", "pytest"])


def migrate_and_die(settings: Settings, asked: Options, step: str) -> None:
    """One batch, killed when `step` is done."""

    def on_step(done: str) -> None:
        if done == step:
            os.kill(os.getpid(), signal.SIGKILL)

    Batches(settings, asked, on_step).run(legacy_find.find(asked.source))


def migrate_all(settings: Settings, asked: Options) -> None:
    """A whole migration in small batches."""
    migrate(settings, asked, batch_size=3)


def started(target: object, *args: object) -> BaseProcess:
    process = _processes.Process(target=target, args=args)  # type: ignore[arg-type]
    process.start()
    return process


def many(folder: Path) -> Path:
    """More results than a moment can migrate."""
    source = a_copy(folder)
    for number in range(MANY):
        task_id = UUID(int=number + 1, version=4)
        data = sample(lambda document, own=task_id: document.update({"run_id": str(own)}))  # type: ignore[misc]
        (source / "results" / f"{task_id}.json").write_bytes(data)
    return source


def assert_all_there(engine: Engine, settings: Settings, source: Path, originals: dict[str, str]) -> None:
    """Every result once, its file in the backups, nothing left over, everything exact."""
    assert files(source) == {}
    stored = rows(engine)
    assert len(stored) == len([path for path in originals if not path.endswith("manifest.json")]) + 1  # one failed
    reconcile(engine, settings)
    folders, foreign = result_folders.result_folders(settings.results_dir)
    assert sorted(folder.parquet_path for folder in folders) == sorted(
        row.parquet_path for row in stored.values() if row.parquet_path
    )
    assert foreign == []
    assert list((settings.results_dir / ".importing").glob("*")) == []
    assert_comes_back(settings, originals, settings.data_dir / "back", source / "backups")


@pytest.mark.parametrize("step", STEPS)
def test_killed_after_a_step_and_run_again(engine: Engine, settings: Settings, tmp_path: Path, step: str) -> None:
    source = a_copy(tmp_path / "legacy")
    killed = started(migrate_and_die, settings, options(source), step)
    killed.join()
    assert killed.exitcode == -9
    stored = len(rows(engine))
    assert stored == (0 if step == "staged" else 8)
    report = run(settings, source)
    again = {} if step == "moved" else {Skip.THERE: 8}
    assert (report.failures, report.skips) == ([], again if stored else {})
    assert_all_there(engine, settings, source, files(SAMPLES))


def moving(source: Path, kept: float, forgotten: float) -> None:
    """As a kill leaves it while files are moved: so many of all are in the backups, so many no more in the source."""
    paths = sorted(files(source), reverse=True)  # of a task its result first
    folders = {path: source / "backups" / Path(path).with_suffix("").parts[1] for path in paths}
    for path, folder in folders.items():
        folder.mkdir(parents=True, exist_ok=True)
        if len(list(folder.parent.glob("*/*.json"))) < kept * len(paths):
            os.link(source / path, folder / Path(path).name)
    for path in paths[::-1][: int(forgotten * len(paths))]:
        (source / path).unlink()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("kept", "forgotten", "verify"),
    [(0, 0, True), (0.5, 0, True), (0.8, 0, True), (0.8, 0, False), (1, 0.3, True), (1, 0.3, False)],
)
def test_killed_while_files_are_moved(
    engine: Engine, settings: Settings, tmp_path: Path, kept: float, forgotten: float, verify: bool
) -> None:
    source = a_copy(tmp_path / "legacy")
    killed = started(migrate_and_die, settings, options(source), "compared")
    killed.join()
    moving(source, kept, forgotten)
    assert run(settings, source, verify=verify).failures == []
    assert run(settings, source, verify=True).verified == 8
    assert_all_there(engine, settings, source, files(SAMPLES))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_killed_before_the_commit_and_reconciled_first(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    source = a_copy(tmp_path / "legacy")
    run(settings, source)
    stored = rows(engine)[BASIC]
    with engine.begin() as connection:  # as if the machine had died between the move and the commit
        connection.exec_driver_sql("DELETE FROM backtest_events")
        connection.exec_driver_sql("DELETE FROM backtest_results")
    originals = a_copy(tmp_path / "again")
    assert set(reconcile(engine, settings).adopted) == {i for i in stored_ids(originals) if i.int & 0xF != 2}
    assert rows(engine)[BASIC].legacy_sha256 == stored.legacy_sha256
    report = run(settings, originals)
    assert (report.migrated, report.skips, report.failures) == (1, {Skip.THERE: 7}, [])
    assert_all_there(engine, settings, originals, files(SAMPLES))


def stored_ids(source: Path) -> set[UUID]:
    return {unit.task_id for unit in legacy_find.find(source) if unit.task_id}


def test_leftovers_of_a_kill_before_the_commit_make_room(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    source = a_copy(tmp_path / "legacy")
    left = settings.results_dir / "backtests" / f"{BASIC}"
    left.mkdir(parents=True)
    (left / "symbol_signals.parquet").write_bytes(b"torn")
    assert run(settings, source).failures == []
    assert rows(engine)[BASIC].revision == 1
    assert_all_there(engine, settings, source, files(SAMPLES))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_killed_at_any_moment_until_it_is_done(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    source = many(tmp_path / "legacy")
    originals, moments = files(source), random.Random()  # noqa: S311
    killed = 0
    for _ in range(KILLS):
        process = started(migrate_all, settings, options(source))
        process.join(moments.uniform(0.02, 0.35))
        if process.is_alive():
            process.kill()
            killed += 1
        process.join()
        everywhere = set(files(source)) | {f"{path}" for path in originals if _kept(source, path)}
        assert everywhere == set(originals), "every file is in one of the two places at every moment"
    assert killed > 0
    assert run(settings, source).failures == []
    assert_all_there(engine, settings, source, originals)


def _kept(source: Path, path: str) -> bool:
    folder = path.split("/")[1].removesuffix(".json")
    return (source / "backups" / folder / path.rsplit("/", 1)[1]).is_file()


def test_two_migrations_at_once_double_nothing(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    source = many(tmp_path / "legacy")
    originals = files(source)
    both = [started(migrate_all, settings, options(source)) for _ in range(2)]
    for process in both:
        process.join()
        assert process.exitcode == 0
    assert_all_there(engine, settings, source, originals)


def test_two_migrations_on_two_machines_double_nothing(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    source = a_copy(tmp_path / "legacy")
    other: list[Batches] = []

    def meanwhile(step: str) -> None:
        if step == "staged":
            other[0].run(legacy_find.find(source))

    own = Batches(settings, options(source), meanwhile)
    other.append(Batches(settings, options(source)))
    outcomes = own.run(legacy_find.find(source))
    for batches in (own, *other):
        batches.close()
    assert [outcome.skip for outcome in outcomes] == [Skip.THERE] * 8
    assert_all_there(engine, settings, source, files(SAMPLES))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_several_processes_and_the_same_report(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    source = many(tmp_path / "legacy")
    originals, heard = files(source), list[tuple[int, int, int]]()
    planned = migrate(settings, options(source, dry_run=True), batch_size=8)
    assert files(source) == originals
    assert rows(engine) == {}
    report = migrate(settings, options(source), jobs=2, batch_size=8, on_progress=lambda *step: heard.append(step))
    assert comparable(report) == comparable(planned)
    assert heard[-1] == (MANY + 8, MANY + 8, 0)
    assert_all_there(engine, settings, source, originals)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_across_file_systems(
    engine: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = Path("/dev/shm") / f"coin-hts-test-{os.getpid()}"  # noqa: S108
    if not elsewhere.parent.is_dir() or elsewhere.parent.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system to move files to")
    source = a_copy(tmp_path / "legacy")
    try:
        assert run(settings, source, backup_dir=elsewhere).failures == []
        assert files(source) == {}
        assert roll_back(settings, tmp_path / "back", backup_dir=elsewhere).failures == []
        assert files(tmp_path / "back") == files(SAMPLES)
    finally:
        for path in sorted(elsewhere.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        elsewhere.rmdir()


def test_of_a_broken_off_move_the_manifest_is_never_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, order, right = a_copy(tmp_path / "legacy"), list[str](), legacy_move._forget

    def noted(folder: Path, path: str) -> None:
        if Path(path).name == "manifest.json":
            time.sleep(0.05)  # as a slow disk: the other threads are faster
        right(folder, path)
        order.append(Path(path).name == "manifest.json")

    monkeypatch.setattr(legacy_move, "_forget", noted)
    legacy_move.move(source, [(path, "x") for path in files(source)], tmp_path / "backups")
    assert order == sorted(order, reverse=True)
    assert sum(order) == 2


def test_a_backup_never_takes_the_place_of_another(tmp_path: Path) -> None:
    source, backups = only(tmp_path / "legacy", b"one"), tmp_path / "backups"
    path = f"results/{BASIC}.json"
    legacy_move.move(source, [(path, "x")], backups)
    for content in (b"two", b"one"):
        (source / path).write_bytes(content)
        legacy_move.move(source, [(path, "x")], backups)
    kept = {one.name: one.read_bytes() for one in (backups / "x").iterdir()}
    assert kept == {f"{BASIC}.json": b"one", f"{BASIC}.2.json": b"two"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_stored_wrongly_is_found_and_its_file_stays(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    source = only(tmp_path / "legacy", sample())
    assert run(settings, source).migrated == 1
    assert run(settings, source, verify=True).verified == 1
    signals = settings.results_dir / "backtests" / f"{BASIC}" / "symbol_signals.parquet"
    data = bytearray(signals.read_bytes())
    data[60] ^= 0xFF
    signals.write_bytes(data)
    report = run(settings, source, verify=True)
    assert (report.verified, report.failures[0].kind) == (0, "damaged")
    back = roll_back(settings, tmp_path / "back")
    assert (back.written, len(back.failures)) == (0, 1)
    again = only(tmp_path / "again", sample())
    assert [failure.kind for failure in run(settings, again).failures] == ["damaged"]
    assert files(again) != {}
    assert run(settings, again, force=True).migrated == 1
    assert (rows(engine)[BASIC].revision, files(again)) == (2, {})


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_results_in_s3(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    running = s3_server("moto")
    with running.provider() as provider:
        remote = replace(settings, results_uri=provider.where, s3=running.access())
        source = a_copy(tmp_path / "legacy")
        assert run(remote, source).failures == []
        assert files(source) == {}
        assert reconcile(engine, remote, deep=True).damaged == {}
        assert_comes_back(remote, files(SAMPLES), tmp_path / "back", source / "backups")
        again = only(tmp_path / "again", sample(lambda document: document.update({"version": "1.2.0"})))
        assert run(remote, again, force=True).migrated == 1
        assert rows(engine)[BASIC].parquet_path == f"backtests/{BASIC}.r2/"
    result_root(remote).close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_roll_back_overwrites_nothing(settings: Settings, tmp_path: Path) -> None:
    source = a_copy(tmp_path / "legacy")
    run(settings, source)
    target = tmp_path / "back"
    planned = roll_back(settings, target, dry_run=True)
    assert (planned.written, target.exists()) == (8, False)
    (target / "results").mkdir(parents=True)
    (target / "results" / f"{BASIC}.json").write_text("mine")
    report = roll_back(settings, target, backup_dir=source / "backups")
    assert (report.written, report.there, len(report.failures)) == (7, 0, 1)
    assert report.failures[0].reason == "another content is there; nothing is ever overwritten"
    assert (target / "results" / f"{BASIC}.json").read_text() == "mine"
    assert roll_back(settings, target).there == 7
    (source / "backups" / f"{BASIC}" / f"{BASIC}.json").write_bytes(sample(lambda d: d.update({"version": "2"})))
    (target / "results" / f"{BASIC}.json").unlink()
    (failure,) = roll_back(settings, target, backup_dir=source / "backups").failures
    assert failure.reason == "there is no backup to compare it with"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_rolled_back_folder_migrates_again_to_the_same(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    run(settings, a_copy(tmp_path / "legacy"))
    before = rows(engine)
    roll_back(settings, tmp_path / "back")
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM backtest_events")
        connection.exec_driver_sql("DELETE FROM backtest_results")
    assert run(settings, tmp_path / "back").migrated == 8
    for task_id, row in rows(engine).items():
        assert (row.legacy_sha256, row.created_at) == (before[task_id].legacy_sha256, before[task_id].created_at)
