"""What housekeeping found when it compared rows with files and read results again: alerts, and a note of the round."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Engine

from storage_core import alerts, verify
from storage_core.alerts import Problem
from storage_core.db import insert_into, session_scope, utc_now
from storage_core.models import Backtest, Job
from storage_core.reconcile import Report
from storage_core.result_root import result_root
from storage_core.settings import Settings

RECONCILE = "reconcile-results"
KIND = "integrity"
FILES, CONTENTS = "files:", "contents:"
LAST_ROUND = UUID("1f7f4ce0-95a1-4b0e-8c5f-6f2d1b3a9e44")
"""The one row of `jobs` that says when the last round was and what it did."""


def note_round(engine: Engine, settings: Settings, report: Report, *, began: datetime) -> None:
    """Make the alerts about missing files those that `report` names, and note the round."""
    found = {f"{FILES}{task_id}": _problem(task_id, said) for task_id, said in report.damaged.items()}
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
    facts = {"kind": RECONCILE, "outcome": outcome, "status": "completed", "progress": 1.0, **times}
    with session_scope(engine) as session:
        alerts.settle(session, KIND, few, prefix=FILES, still=found.keys())
        row = insert_into(session, Job).values(job_id=LAST_ROUND, **facts)
        session.execute(row.on_conflict_do_update(index_elements=["job_id"], set_=facts))


def alert_changed(engine: Engine, settings: Settings, report: verify.Report) -> None:
    """Open alerts for what `report` found, and close those of results that are sound again or gone.

    A report is of a part of the results, so the others that have an alert are read again.
    """
    words = {one.task_id: f"{one.path}: {one.problem}" for one in reversed(report.findings)}
    found = {f"{CONTENTS}{task_id}": _problem(task_id, said) for task_id, said in words.items()}
    with session_scope(engine) as session:
        known = {one.key for one in alerts.open_alerts(session, kind=KIND) if one.key.startswith(CONTENTS)}
    still = {key for key in known - found.keys() if _holds(engine, settings, key)}
    few = alerts.few(found, more=f"{CONTENTS}more", what="stored results are not what was stored")
    with session_scope(engine) as session:
        alerts.settle(session, KIND, few, prefix=CONTENTS, still=still | found.keys())


def _holds(engine: Engine, settings: Settings, key: str) -> bool:
    """Whether the result that the alert `key` names is damaged still; one that says "and more" is not, until told."""
    name = key.removeprefix(CONTENTS)
    if name == "more":
        return False
    with session_scope(engine) as session:
        row = session.get(Backtest, UUID(name))
    if row is None or row.deleted_at is not None or row.status != "completed":
        return False
    return next(verify.check(result_root(settings), row), None) is not None


def _problem(task_id: UUID, said: str) -> Problem:
    return Problem(f"The stored result of {task_id} is missing or damaged: {said}", {"task_id": str(task_id)})
