"""Operations, backups: the list, one backup with its way back, and asking for work."""

import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from storage_core import backup, backup_rehearse, backup_verify, jobs
from storage_core.backup_store import backup_store
from storage_core.db import session_scope, utc_now
from storage_core.models import AuditEntry, Job, User
from storage_core.settings import Settings
from tests.storage_core.installation import SMALL
from tests.storage_core.sound import saved
from tests.webapp.conftest import Browser

PAGE = "/operations/backups"


def job_kinds(engine: Engine) -> list[str]:
    with session_scope(engine) as session:
        return [job.kind for job in jobs.listed(session)]


def test_an_empty_list_says_what_to_do(admin: Browser) -> None:
    page = admin.get(PAGE)
    assert "No backups yet" in page.text
    assert [button.text for button in page.find("button", name="kind")] == ["Back up now", "Verify", "Rehearse"]


def test_the_list_shows_size_and_checks_and_leads_to_the_way_back(
    admin: Browser, engine: Engine, settings: Settings
) -> None:
    saved(engine, settings, SMALL)
    made = backup.create(engine, settings)
    backup_verify.verify(backup_store(settings))
    page = admin.get(PAGE)
    assert f"{made.file_count}" in page.text
    assert page.find("a", href=f"{PAGE}/{made.id}#restore")
    assert page.text.count("not yet") == 0
    one = admin.get(f"{PAGE}/{made.id}")
    assert f"flask backup restore {made.id} --into /srv/coin-hts-restored" in one.text
    assert "verified: sound" in one.text
    assert "1 result" in one.text


def test_damage_is_shown(admin: Browser, engine: Engine, settings: Settings) -> None:
    saved(engine, settings, SMALL)
    made = backup.create(engine, settings)
    store = backup_store(settings)
    store.note(made.id, "rehearsed", at=utc_now(), sound=False, report={})
    assert "damaged" in admin.get(PAGE).text
    (Path(store.where) / f"manifests/{made.id}.json").write_text("{}")
    admin.app.extensions.pop("backup_manifests")
    assert "it is not a manifest" in admin.get(PAGE).text


@pytest.mark.parametrize("kind", ["backup", "verify_backup", "rehearse_backup"])
def test_work_can_be_asked_for_once(admin: Browser, engine: Engine, kind: str) -> None:
    assert admin.post(f"{PAGE}/jobs", {"kind": kind}).status_code == 303
    assert admin.post(f"{PAGE}/jobs", {"kind": kind}).status_code == 303
    assert job_kinds(engine) == [kind]
    page = admin.get(PAGE)
    assert "That is under way already." in page.text
    assert page.by_id("backup-jobs").get("hx-get") == f"{PAGE}/jobs"
    with session_scope(engine) as session:
        assert session.scalar(select(AuditEntry.action)).startswith("backup.")


def test_the_work_is_followed_until_it_has_ended(admin: Browser, engine: Engine, settings: Settings) -> None:
    admin.post(f"{PAGE}/jobs", {"kind": "backup"})
    assert "waits for a worker" in admin.get(f"{PAGE}/jobs", htmx=True).text
    with session_scope(engine) as session:
        claim = jobs.claim_next(session, worker="test")
        jobs.report(session, claim, progress=0.5, phase="sending files")
    assert "sending files" in admin.get(f"{PAGE}/jobs", htmx=True).text
    with session_scope(engine) as session:
        told = {"backup": "20260101T000000Z", "bytes": 1500, "added_bytes": 20}
        jobs.finish(session, claim, told)
    answer = admin.client.get(f"{PAGE}/jobs", headers={"HX-Request": "true"})
    assert answer.headers["HX-Retarget"] == "#backups"
    assert "20260101T000000Z: 1.5 kB, 20 bytes of it new" in answer.get_data(as_text=True)


def test_work_under_way_can_be_cancelled(admin: Browser, engine: Engine) -> None:
    admin.post(f"{PAGE}/jobs", {"kind": "backup"})
    with session_scope(engine) as session:
        job_id = session.scalar(select(Job.job_id))
    assert admin.post(f"{PAGE}/jobs/{job_id}/cancel").status_code == 303
    assert admin.post(f"{PAGE}/jobs/{job_id}/cancel").status_code == 303
    assert "It has ended already." in admin.get(PAGE).text
    assert admin.post(f"{PAGE}/jobs/{uuid.uuid4()}/cancel").status_code == 404


def test_who_may_do_what(admin: Browser, trader: Browser, viewer: Browser, engine: Engine) -> None:
    page = trader.get(PAGE)
    assert not page.find("button", name="kind")
    assert trader.post(f"{PAGE}/jobs", {"kind": "backup"}).status_code == 403
    viewer.get(PAGE, status=403)
    assert job_kinds(engine) == []


@pytest.mark.parametrize("form", [{"kind": "fetch_bars"}, {"kind": "backup", "backup": "../../etc"}, {}])
def test_nothing_else_can_be_asked_for(admin: Browser, engine: Engine, form: dict[str, str]) -> None:
    assert admin.post(f"{PAGE}/jobs", form).status_code == 400
    assert job_kinds(engine) == []


@pytest.mark.parametrize("name", ["20200101T000000Z", "nothing", "..%2f..%2fetc"])
def test_a_backup_that_is_not_there_is_not_found(admin: Browser, name: str) -> None:
    assert f"flask backup restore {name}" not in admin.get(f"{PAGE}/{name}", status=404).text


def test_what_is_overdue_is_said(admin: Browser, engine: Engine) -> None:
    with session_scope(engine) as session:
        for user in session.scalars(select(User)):
            user.created_at = utc_now() - timedelta(days=9)
    page = admin.get(PAGE)
    assert "No backup for more than 26 hours: there has been none." in page.text
    assert "No rehearsal of a restore for more than 8 days" in page.text


def test_a_rehearsal_is_shown(admin: Browser, engine: Engine, settings: Settings) -> None:
    saved(engine, settings, SMALL)
    made = backup.create(engine, settings)
    backup_rehearse.rehearse(engine, settings)
    assert "rehearsed: sound" in admin.get(f"{PAGE}/{made.id}").text
