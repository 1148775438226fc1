"""Backups as jobs: one a night however many clocks ask, then a prune and a seventh of a verify."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage_core import backup, backup_lock, jobs
from storage_core.backup_schedule import KINDS as BACKUP_KINDS
from storage_core.backup_schedule import REHEARSE, VERIFY
from storage_core.backup_store import backup_store
from storage_core.db import session_scope
from storage_core.models import User
from tests.services import wait_for
from tests.storage_core.installation import SMALL, client_programs, empty_database
from tests.storage_core.sound import saved
from workers import take_backup
from workers.jobs import KINDS, run_next_job
from workers.queue import make_broker
from workers.runtime import Runtime
from workers.take_backup import ask_for_due

__all__ = ["client_programs", "empty_database"]
MONDAY = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def runtime(settings, broker_url):
    runtime = Runtime(settings, make_broker(broker_url))
    with session_scope(runtime.engine) as session:
        session.add(User(name="ada", role="admin", password_hash="x", created_at=MONDAY - timedelta(days=20)))
    yield runtime
    runtime.close()


def run_all(runtime):
    while run_next_job(runtime):
        pass


def ended(runtime):
    with session_scope(runtime.engine) as session:
        return {job.kind: job for job in jobs.listed(session)}


def make(runtime, kind, **args):
    with session_scope(runtime.engine) as session:
        return jobs.create(session, kind=kind, args=args).job_id


def test_every_kind_has_its_function():
    assert set(BACKUP_KINDS) <= set(KINDS)


def test_a_night_takes_a_backup_prunes_and_verifies_a_seventh(runtime, settings):
    saved(runtime.engine, settings, SMALL)
    assert ask_for_due(runtime.engine, settings, now=MONDAY) == ["backup"]
    run_all(runtime)
    done = ended(runtime)
    assert {kind: job.status for kind, job in done.items()} == dict.fromkeys(
        ("backup", "prune_backups", "verify_backup"), "completed"
    )
    assert done["backup"].outcome["backup"] == backup_store(settings).find("latest")
    assert done["prune_backups"].outcome["kept"] == 1
    assert done["verify_backup"].outcome["part"].endswith(" of 7")
    assert ask_for_due(runtime.engine, settings, now=MONDAY) == ["rehearse_backup"]
    run_all(runtime)
    assert ended(runtime)["rehearse_backup"].outcome["results"] == 1
    assert ask_for_due(runtime.engine, settings, now=MONDAY) == []


def test_two_clocks_make_one_job_a_night(runtime, settings):
    barrier, made = threading.Barrier(4), []

    def clock():
        barrier.wait()
        made.extend(ask_for_due(runtime.engine, settings, now=MONDAY))

    clocks = [threading.Thread(target=clock) for _ in range(4)]
    for thread in clocks:
        thread.start()
    for thread in clocks:
        thread.join()
    assert made == ["backup"]
    with session_scope(runtime.engine) as session:
        assert [job.kind for job in jobs.listed(session)] == ["backup"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_backup_that_was_made_is_not_made_again_when_its_job_is_run_again(runtime, settings):
    job_id = make(runtime, "backup", night="a day that breaks what comes after the backup")
    run_next_job(runtime)
    with session_scope(runtime.engine) as session:
        job = jobs.get(session, job_id)
        assert (job.status, job.attempt) == ("queued", 1)
        job.not_before, job.args = job.created_at, {"night": "2026-03-02"}
    run_all(runtime)
    assert len(backup_store(settings).ids()) == 1
    assert ended(runtime)["backup"].status == ended(runtime)["verify_backup"].status == "completed"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_job_waits_for_another_backup(runtime, settings, monkeypatch):
    monkeypatch.setattr(take_backup, "WAIT_SECONDS", 0.05)
    job_id = make(runtime, "backup")

    def phase():
        with session_scope(runtime.engine) as session:
            return jobs.get(session, job_id).phase

    with backup_lock.only_one(runtime.engine, settings):
        thread = threading.Thread(target=run_next_job, args=(runtime,))
        thread.start()
        wait_for(lambda: phase().startswith("waiting: another backup is running"))
    thread.join()
    assert ended(runtime)["backup"].status == "completed"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_backup_that_waits_can_be_cancelled(runtime, settings):
    job_id = make(runtime, "backup")

    def phase():
        with session_scope(runtime.engine) as session:
            return jobs.get(session, job_id).phase

    with backup_lock.only_one(runtime.engine, settings):
        thread = threading.Thread(target=run_next_job, args=(runtime,))
        thread.start()
        wait_for(lambda: phase().startswith("waiting"))
        with session_scope(runtime.engine) as session:
            jobs.cancel(session, job_id)
        thread.join()
    assert ended(runtime)["backup"].status == "cancelled"
    assert backup_store(settings).ids() == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_damage_is_in_the_outcome_and_fails_a_rehearsal(runtime, settings):
    saved(runtime.engine, settings, SMALL)
    made = backup.create(runtime.engine, settings)
    store = backup_store(settings)
    file = next(iter(store.files(made)))
    (Path(store.where) / store.key(file.content.sha256)).write_bytes(b"flipped")
    make(runtime, REHEARSE)
    run_all(runtime)
    failed = ended(runtime)[REHEARSE]
    assert (failed.status, failed.error_code) == ("failed", "backup_damaged")
    make(runtime, VERIFY, backup=made.id)
    run_all(runtime)
    assert ended(runtime)[VERIFY].outcome["damaged"] == 1
