"""A flipped byte, a lost object, a damaged manifest: found, and named as people know it. Prune removes nothing else."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from storage_core import backtest_keeping, backup, backup_lock
from storage_core.backup_errors import BackupDamaged, BackupRunning, NoSuchBackup
from storage_core.backup_manifest import Manifest
from storage_core.backup_prune import keep, prune
from storage_core.backup_store import BackupStore, backup_store
from storage_core.backup_verify import Part, verify
from storage_core.db import session_scope, utc_now
from storage_core.restore import Target, restore
from storage_core.settings import Settings
from tests.storage_core.installation import all_bytes, filled
from tests.storage_core.sound import saved, sound_tables

OTHER = sound_tables(trades=6, bars=12)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Nothing here differs between databases."""
    return sqlite_url


@pytest.fixture
def store(settings: Settings) -> BackupStore:
    return backup_store(settings)


@pytest.fixture
def made(engine: Engine, settings: Settings) -> Manifest:
    """A backup of everything."""
    filled(engine, settings)
    return backup.create(engine, settings)


def path_of(store: BackupStore, sha256: str) -> Path:
    return Path(store.where) / store.key(sha256)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_sound_backup_is_read_whole(store: BackupStore, made: Manifest) -> None:
    report = verify(store)
    assert report.findings == []
    assert report.objects == sum(1 for _ in store.contents())
    assert [(note.backup, note.what, note.sound) for note in store.notes()] == [(made.id, "verified", True)]


def test_a_flipped_byte_is_named_with_object_file_and_result(
    engine: Engine, settings: Settings, store: BackupStore
) -> None:
    task_id = saved(engine, settings, OTHER)
    made = backup.create(engine, settings)
    backup.create(engine, settings, now=utc_now() + timedelta(hours=1))
    path = f"results/backtests/{task_id}/symbol_signals.parquet"
    sha256 = next(file.content.sha256 for file in store.files(made) if file.path == path)
    flip(path_of(store, sha256))
    [finding] = verify(store).findings
    assert finding.where == f"{store.where}/{store.key(sha256)}"
    assert finding.problem.startswith("its sha256 is ")
    assert finding.paths == (path,)
    assert finding.task_id == str(task_id)
    assert finding.backups == tuple(store.ids())
    assert {note.sound for note in store.notes()} == {False}


@pytest.mark.parametrize("which", ["database", "files"])
def test_damage_of_the_dump_and_of_the_list_is_found(
    store: BackupStore, made: Manifest, tmp_path: Path, which: str
) -> None:
    content = made.database.content if which == "database" else made.files
    flip(path_of(store, content.sha256))
    [finding] = verify(store).findings
    assert store.key(content.sha256) in finding.where
    target = Target(folder=tmp_path / "there", database_url=f"sqlite:///{tmp_path}/there/db.sqlite3")
    with pytest.raises(BackupDamaged, match=content.sha256):
        restore(store, made.id, target)
    assert not (tmp_path / "there" / "db.sqlite3").exists()


def test_a_lost_object_and_a_changed_manifest_are_found(store: BackupStore, made: Manifest) -> None:
    file = next(iter(store.files(made)))
    path_of(store, file.content.sha256).unlink()
    [finding] = verify(store).findings
    assert (finding.problem, file.path in finding.paths) == ("it is gone", True)
    manifest = Path(store.where) / f"manifests/{made.id}.json"
    manifest.write_text(manifest.read_text().replace('"file_count": ', '"file_count": 1'))
    [finding] = verify(store).findings
    assert finding.where == str(manifest)
    assert finding.problem == "its sha256 is not the one that stands in it"


def test_seven_days_read_everything_once(store: BackupStore, made: Manifest) -> None:
    parts = [verify(store, part=Part(7, day)) for day in range(738_000, 738_007)]
    assert sum(report.objects for report in parts) == sum(1 for _ in store.contents())
    assert {report.part for report in parts} == {f"{part} of 7" for part in range(1, 8)}


def test_what_is_set_aside_is_sent_anew_by_the_next_backup(
    engine: Engine, settings: Settings, store: BackupStore, made: Manifest
) -> None:
    file = next(file for file in store.files(made) if file.path.endswith("performance_curve.parquet"))
    flip(path_of(store, file.content.sha256))
    damaged = path_of(store, file.content.sha256).read_bytes()
    assert len(verify(store, set_aside=True).findings) == 1
    assert (Path(store.where) / "damaged" / file.content.sha256).read_bytes() == damaged
    assert backup.create(engine, settings).added_count >= 1
    assert verify(store).findings == []


def test_an_unknown_name_is_refused_and_the_beginning_of_one_is_enough(store: BackupStore, made: Manifest) -> None:
    assert store.find("latest") == store.find(made.id[:10]) == made.id
    with pytest.raises(NoSuchBackup, match=made.id):
        store.find("2019")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_seven_days_four_weeks_and_twelve_months_stay() -> None:
    nights = [at("2025-01-01T03:00:00") + timedelta(days=day) for day in range(500)]
    backups = [(f"{night:%Y-%m-%d}", night) for night in nights]
    kept = keep(backups, "UTC")
    newest = nights[-1]
    assert {f"{newest - timedelta(days=day):%Y-%m-%d}" for day in range(7)} <= kept
    sundays = [night for night in nights if night.weekday() == 6][-3:]
    assert {f"{sunday:%Y-%m-%d}" for sunday in sundays} <= kept
    last_of_month = {night.strftime("%Y-%m"): f"{night:%Y-%m-%d}" for night in nights}
    assert set(list(last_of_month.values())[-12:]) <= kept
    assert len(kept) <= 7 + 4 + 12
    assert keep([(name, time) for name, time in backups if name in kept], "UTC") == kept, "again changes nothing"


def test_days_are_those_of_the_time_zone_and_of_a_day_the_newest_stays() -> None:
    backups = [("evening", at("2026-01-01T14:00:00")), ("night", at("2026-01-01T16:00:00"))]
    assert keep(backups, "UTC") == {"night"}
    assert keep(backups, "Asia/Seoul") == {"evening", "night"}
    assert keep([], "UTC") == set()


@pytest.fixture
def three(engine: Engine, settings: Settings) -> list[Manifest]:
    """Backups of one day: only the newest of them stays. Each holds a result that the others do not."""
    day, found = at("2026-03-01T01:00:00"), []
    for hour in range(3):
        task_id = saved(engine, settings, sound_tables(trades=4, bars=10 + hour))
        found.append(backup.create(engine, settings, now=day + timedelta(hours=hour)))
        with session_scope(engine) as session:
            backtest_keeping.delete(session, task_id, by="test", now=utc_now() - timedelta(days=8))
        backtest_keeping.purge(engine, settings)
    return found


def test_prune_removes_what_nobody_names_any_more_and_nothing_else(
    engine: Engine, settings: Settings, store: BackupStore, three: list[Manifest], tmp_path: Path
) -> None:
    later = utc_now() + timedelta(days=2)
    planned = prune(engine, settings, dry_run=True, now=later)
    assert len(store.ids()) == 3
    done = prune(engine, settings, now=later)
    assert (planned.removed, planned.objects, planned.bytes) == (done.removed, done.objects, done.bytes)
    assert done.removed == [three[0].id, three[1].id]
    assert done.kept == store.ids() == [three[2].id]
    assert verify(store).findings == []
    named = {file.content.sha256 for file in store.files(three[2])}
    named |= {three[2].files.sha256, three[2].database.content.sha256}
    assert {content.sha256 for content, _ in store.contents()} == named
    restore(store, "latest", Target(folder=tmp_path / "there", database_url=f"sqlite:///{tmp_path}/there/db.sqlite3"))


def test_deleting_results_for_good_touches_no_backup(
    settings: Settings, store: BackupStore, three: list[Manifest], tmp_path: Path
) -> None:
    assert list((settings.results_dir / "backtests").iterdir()) == []
    assert verify(store).findings == []
    for made in three:
        folder = tmp_path / made.id
        restore(store, made.id, Target(folder=folder, database_url=f"sqlite:///{folder}/db.sqlite3"))
        assert len(list((folder / "results/backtests").glob("*/*.parquet"))) == 3


def test_what_was_sent_in_the_last_day_stays_though_nobody_names_it(
    engine: Engine, settings: Settings, store: BackupStore, three: list[Manifest]
) -> None:
    before = {content.sha256 for content, _ in store.contents()}
    assert prune(engine, settings, now=utc_now() + timedelta(hours=23)).objects == 0
    assert {content.sha256 for content, _ in store.contents()} == before


def test_a_list_that_cannot_be_read_stops_the_prune_before_anything_is_removed(
    engine: Engine, settings: Settings, store: BackupStore, three: list[Manifest]
) -> None:
    flip(path_of(store, three[2].files.sha256))
    before = {content.sha256 for content, _ in store.contents()}
    with pytest.raises(BackupDamaged, match=three[2].files.sha256):
        prune(engine, settings, now=utc_now() + timedelta(days=2))
    assert ({content.sha256 for content, _ in store.contents()}, len(store.ids())) == (before, 3)


@pytest.mark.parametrize("work", [backup.create, prune])
def test_only_one_backup_or_prune_at_a_time(
    engine: Engine, settings: Settings, work: Callable[[Engine, Settings], object]
) -> None:
    with backup_lock.only_one(engine, settings), pytest.raises(BackupRunning, match="another backup is running"):
        work(engine, settings)
    work(engine, settings)


def test_the_files_are_those_that_were_listed(settings: Settings, store: BackupStore, made: Manifest) -> None:
    listed = {file.path: file.content.bytes for file in store.files(made)}
    assert listed == {path: len(data) for path, data in all_bytes(settings).items()}
    assert list(listed) == sorted(listed)
