"""The door to fetching bars: one check for the form and the API, then the row, then the message."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask import abort, current_app
from flask_babel import gettext as _

from storage_core import jobs
from storage_core.fetch_request import KIND, parse_fetch
from storage_core.models import Job
from webapp.audit import audit
from webapp.extensions import bar_store, broker, db
from webapp.login import person
from workers.errors import BrokerDown


def start_fetch(raw: Mapping[str, Any]) -> Job:
    """Check, insert, commit, send. Raises BadFilter, and then there is no job."""
    request = parse_fetch(raw, inventory=bar_store().inventory(), now=datetime.now(UTC))
    check_wins(request.wins)
    session = db.session()
    job = jobs.create(session, kind=KIND, args=request.as_args(), owner_id=person().id)
    audit("bars.fetch_started", f"{request.symbol} {request.timeframe}", exchange=request.exchange)
    session.commit()
    from workers.queue import send_job  # with the queue's client, which a process that only reads never loads

    try:
        send_job(broker(), job.job_id)
    except BrokerDown as error:
        current_app.logger.warning("job %s waits in the database: %s", job.job_id, error)
    return job


def check_wins(wins: str | None) -> None:
    """Everybody's stored bars change when the new ones win: an admin decides that."""
    if wins == "new" and not person().is_admin:
        abort(403, _("Only an admin may let new bars replace stored ones."))


def may_stop(job: Job) -> bool:
    """Whether the person may see and cancel it: their own, and everything for an admin."""
    return person().is_admin or job.owner_id == person().id
