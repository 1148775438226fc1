"""The page of the storage: what is stored, whether all of it is there, and making room."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from storage_core import jobs
from storage_core.db import session_scope, utc_now
from storage_core.models import AuditEntry, Backtest
from storage_core.reconcile import Report
from tests.webapp import results
from workers.clean_up import clean_up_results, undelete_results
from workers.integrity_alerts import note_round
from workers.job_context import JobContext

PAGE = "/operations/storage"
WORK = {"cleanup_results": clean_up_results, "undelete_results": undelete_results}


@pytest.fixture
def old(engine, completed):
    """Three completed backtests of a year ago, one of them pinned."""
    for _ in range(3):
        completed()
    with session_scope(engine) as session:
        rows = session.scalars(select(Backtest)).all()
        for row in rows:
            row.created_at -= timedelta(days=365)
        rows[0].pinned = True
        return [row.task_id for row in rows]


def work(engine, settings):
    """Do the job that waits, as a worker would."""
    with session_scope(engine) as session:
        claim = jobs.claim_next(session, worker="test", kinds=list(WORK))
    outcome = WORK[claim.kind](JobContext(settings, engine, claim, stopping=threading.Event()))
    with session_scope(engine) as session:
        jobs.finish(session, claim, outcome=outcome)


def deleted(engine):
    with session_scope(engine) as session:
        return set(session.scalars(select(Backtest.task_id).where(Backtest.deleted_at.is_not(None))))


def form(page, tail):
    return next(one for one in page.find("form") if one.get("action").endswith(tail)).get("action")


def test_an_empty_store_says_what_to_do_next(admin):
    page = admin.get(PAGE)
    assert "Nothing is stored yet." in page.text
    assert page.find("a", href="/backtests/new")
    assert "not yet" in page.text


def test_what_is_stored_by_strategy_and_age(admin, old):
    page = admin.get(PAGE)
    assert "3 0 kB" not in page.text
    groups = [" ".join(row.itertext()).split() for row in page.find("tr")]
    assert any(row[:2] == ["sma_cross", "3"] for row in groups)
    assert any(row[:2] == ["older", "3"] or row[:3] == ["365", "days", "3"] for row in groups)
    assert "parquet-only" in page.text


def test_what_is_missing_under_the_mode(admin, app, settings, old):
    app.extensions["settings"] = replace(settings, result_storage_mode="dual-write")
    page = admin.get(PAGE)
    rows = [" ".join(row.itertext()).split() for row in page.find("tr")]
    assert ["parquet", "3", "0"] in rows
    assert ["json", "0", "3"] in rows
    assert "flask repair-results" in page.text


def test_the_last_round_of_housekeeping(admin, engine, settings, old):
    note_round(engine, settings, Report(damaged={old[0]: "it is gone"}), began=utc_now())
    assert "1 damaged" in admin.get(PAGE).text


def test_a_preview_then_the_deletion_then_taking_it_back(admin, engine, settings, old):
    answer = admin.post(f"{PAGE}/preview", {"days": "90", "status": "completed", "keep_top": "0"})
    assert (answer.status_code, answer.location) == (303, f"{PAGE}?status=completed#storage-work")
    assert admin.get(PAGE).by_id("storage-work").get("hx-get") == f"{PAGE}/cleanups"
    work(engine, settings)
    assert deleted(engine) == set()
    page = admin.get(f"{PAGE}/cleanups", htmx=True)
    assert "older than 90 days; completed: would delete 2 backtests" in page.text
    assert "keeps 1 that are pinned or among the best" in page.text
    assert page.by_id("storage-work").get("hx-get") is None
    assert admin.post(form(page, "/delete")).status_code == 303
    work(engine, settings)
    assert deleted(engine) == set(old[1:])
    page = admin.get(f"{PAGE}/cleanups", htmx=True)
    assert "deleted 2 backtests" in page.text
    assert admin.post(form(page, "/undo")).status_code == 303
    work(engine, settings)
    assert deleted(engine) == set()
    assert "2 backtests are back" in admin.get(PAGE).text
    with session_scope(engine) as session:
        actions = session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
    assert [one for one in actions if one.startswith("results.")] == ["results.cleaned_up", "results.restored"]


def test_the_rules_of_a_preview_are_there_still_after_it(admin):
    answer = admin.post(f"{PAGE}/preview", {"days": "30", "status": "failed", "keep_top": "5"})
    page = admin.get(answer.location)
    assert [page.by_id(name).get("value") for name in ("days", "keep_top")] == ["30", "5"]
    assert [one.get("value") for one in page.by_id("status") if "selected" in one.attrib] == ["failed"]


def test_one_clean_up_at_a_time(admin, engine, old):
    for _ in range(2):
        admin.post(f"{PAGE}/preview", {"days": "90", "status": "", "keep_top": "0"})
    assert "One clean-up is under way" in admin.get(PAGE).text
    with session_scope(engine) as session:
        assert len(jobs.listed(session)) == 1


WRONG = [
    ({"days": "-1"}, "days"),
    ({"days": "x"}, "days"),
    ({"days": "99999999"}, "days"),
    ({"days": "٣"}, "days"),
    ({"keep_top": ""}, "keep_top"),
    ({"status": "running"}, "status"),
    ({"status": "<script>"}, "status"),
]


@pytest.mark.parametrize(("changes", "field"), WRONG)
def test_what_cannot_be_is_said_beside_the_field(admin, changes, field):
    from tests.webapp.page import read

    answer = admin.post(f"{PAGE}/preview", {"days": "90", "status": "", "keep_top": "0", **changes})
    assert answer.status_code == 422
    said = read(answer, admin.app).error_of(field)
    assert said.startswith("Was ")
    assert "allowed: " in said


def test_who_may_look_and_who_may_delete(admin, trader, viewer, engine, settings, old):
    viewer.get(PAGE, status=403)
    viewer.get(f"{PAGE}/cleanups", status=403)
    assert not [one for one in trader.get(PAGE).find("form") if "/preview" in one.get("action")]
    assert trader.post(f"{PAGE}/preview", {"days": "0"}).status_code == 403
    admin.post(f"{PAGE}/preview", {"days": "90", "status": "", "keep_top": "0"})
    with session_scope(engine) as session:
        (job,) = jobs.listed(session)
    assert admin.post(f"{PAGE}/cleanups/{job.job_id}/delete").status_code == 409, "the preview has not ended"
    work(engine, settings)
    for action in ("delete", "undo"):
        assert trader.post(f"{PAGE}/cleanups/{job.job_id}/{action}").status_code == 403
    assert admin.post(f"{PAGE}/cleanups/{job.job_id}/undo").status_code == 409, "nothing was deleted"
    assert admin.post(f"{PAGE}/cleanups/{results.queue(engine, owner_id=1)}/delete").status_code == 404
    assert deleted(engine) == set()
