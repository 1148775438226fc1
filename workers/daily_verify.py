"""Each day the clock reads a seventh of all stored results again, so that within a week every file has been read."""

from datetime import datetime
from uuid import UUID, uuid5

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from storage_core.backtest_filters import Filters
from storage_core.chosen import Choice, Sample
from storage_core.db import session_scope, utc_now
from storage_core.models import Job
from storage_core.settings import Settings
from storage_core.verify import Finding, Report, verify
from workers.integrity_alerts import alert_changed

log = structlog.get_logger("clock")

JOB = "verify-results"
PARTS, MOST_TOLD = 7, 50
MISMATCH = "integrity_mismatch"
_DAYS = UUID("6d9a3a0c-7c43-4d0e-9f5c-2f3a5d1e7b90")


def verify_part_of_today(engine: Engine, settings: Settings, *, now: datetime | None = None) -> list[Finding]:
    """Verify today's seventh of the results, unless that was done today; what is wrong with which file.

    Each finding is logged as the error `integrity_mismatch`, and each damaged result is an alert until it is found
    sound: those with an alert are read again every day. That it was done is a row of `jobs`, written last: a clock
    that is stopped in between begins again. Raises StorageError when the place of the results cannot be reached.
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
    alert_changed(engine, settings, report)
    _note(engine, report, job_id, turn=turn, began=now)
    return report.findings


def _note(engine: Engine, report: Report, job_id: UUID, *, turn: int, began: datetime) -> None:
    """The row that says it was done."""
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
            session.add(job)
    except IntegrityError:
        log.info("another clock verified the same part at the same time", part=turn)
