"""What housekeeping found when it compared rows with files: alerts for people, and when that was last done."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Engine

from storage_core import alerts
from storage_core.alerts import Problem
from storage_core.db import session_scope, utc_now
from storage_core.models import Job
from storage_core.reconcile import Report
from storage_core.settings import Settings

RECONCILE = "reconcile-results"
FILES = "files:"
LAST_ROUND = UUID("1f7f4ce0-95a1-4b0e-8c5f-6f2d1b3a9e44")
"""The one row of `jobs` that says when the last round was and what it did."""


def note_round(engine: Engine, settings: Settings, report: Report, *, began: datetime) -> None:
    """Make the alerts about missing files those that `report` names, and note the round."""
    found = {
        f"{FILES}{task_id}": Problem(
            f"The stored result of {task_id} is missing or damaged: {said}", {"task_id": str(task_id)}
        )
        for task_id, said in report.damaged.items()
    }
    few = alerts.few(found, more=f"{FILES}more", what="stored results are missing or damaged")
    outcome = {
        "results_uri": settings.results_uri or str(settings.results_dir),
        "staging_removed": len(report.staging_removed),
        "adopted": len(report.adopted),
        "trashed": len(report.trashed),
        "trash_emptied": len(report.trash_emptied),
        "damaged": len(report.damaged),
    }
    times = {"created_at": began, "started_at": began, "finished_at": utc_now()}
    row = Job(job_id=LAST_ROUND, kind=RECONCILE, outcome=outcome, status="completed", progress=1.0, **times)
    with session_scope(engine) as session:
        alerts.settle(session, "integrity", few, prefix=FILES, still=found.keys())
        session.merge(row)
