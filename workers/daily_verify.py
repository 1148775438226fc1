"""Each day the clock reads a seventh of all stored results again, so that within a week every file has been read."""

from datetime import datetime
from uuid import UUID, uuid5

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from storage_core import alerts
from storage_core.alerts import Problem
from storage_core.backtest_filters import Filters
from storage_core.chosen import Choice, Sample
from storage_core.db import session_scope, utc_now
from storage_core.models import Job
from storage_core.settings import Settings
from storage_core.verify import Finding, Report, verify

log = structlog.get_logger("clock")

JOB = "verify-results"
PARTS, MOST_TOLD = 7, 50
MISMATCH = "integrity_mismatch"
_DAYS = UUID("6d9a3a0c-7c43-4d0e-9f5c-2f3a5d1e7b90")


def verify_part_of_today(engine: Engine, settings: Settings, *, now: datetime | None = None) -> list[Finding]:
    """Verify today's seventh of the results, unless that was done today; what is wrong with which file.

    Each finding is logged as the error `integrity_mismatch`, and each damaged result is an alert until its part is
    verified again and found sound. That it was done is a row of `jobs`, written last: a clock that is stopped in
    between begins again. Raises StorageError when the place of the results cannot be reached.
    """
    now = now or utc_now()
    job_id, turn = uuid5(_DAYS, now.date().isoformat()), now.toordinal() % PARTS
    with session_scope(engine) as session:
        if session.get(Job, job_id) is not None:
            return []
    choice = Choice(filters=Filters(statuses=("completed",)), sample=Sample(PARTS, turn))
    report = verify(engine, settings, choice)
    for finding in report.findings:
        log.error(MISMATCH, task_id=str(finding.task_id), path=finding.path, problem=finding.problem)
    _note(engine, report, job_id, turn=turn, began=now)
    return report.findings


def _note(engine: Engine, report: Report, job_id: UUID, *, turn: int, began: datetime) -> None:
    """The alerts, and the row that says it was done."""
    prefix = f"verify:{turn}:"
    found = {
        f"{prefix}{finding.task_id}": Problem(
            f"Backtest {finding.task_id}: {finding.path} is not what was stored: {finding.problem}",
            {"task_id": str(finding.task_id), "path": finding.path},
        )
        for finding in reversed(report.findings)  # of several files of a result the first one is told
    }
    few = alerts.few(found, more=f"{prefix}more", what="stored results are not what was stored")
    told = report.as_dict()
    job = Job(
        job_id=job_id,
        kind=JOB,
        args={"part": turn, "of": PARTS},
        outcome={**told, "findings": told["findings"][:MOST_TOLD]},
        status="completed",
        progress=1.0,
        started_at=began,
        finished_at=utc_now(),
    )
    try:
        with session_scope(engine) as session:
            alerts.settle(session, "integrity", few, prefix=prefix)
            session.add(job)
    except IntegrityError:
        log.info("another clock verified the same part at the same time", part=turn)
