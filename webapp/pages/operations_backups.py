"""Operations, backups: what there is, what became of it, taking one now, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import UUID

from flask import Blueprint, Response, abort, current_app, flash, make_response, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from storage_core import jobs
from storage_core.backup_errors import NoSuchBackup
from storage_core.backup_manifest import Manifest, is_id
from storage_core.backup_schedule import BACKUP, KINDS, REHEARSE, VERIFY, overdue
from storage_core.backup_store import BackupStore, backup_store
from storage_core.backup_summary import Summary, summaries
from storage_core.db import utc_now
from storage_core.errors import JobEnded, JobNotFound, StorageError
from webapp.audit import audit
from webapp.context.backups import JobLine, ctx_backups, ctx_job, ctx_line, ctx_restoring
from webapp.extensions import broker, db, settings
from webapp.htmx import go_to, replacing
from webapp.login import need_admin, need_trader, person
from workers.errors import BrokerDown

blueprint = Blueprint("operations_backups", __name__, url_prefix="/operations/backups")

SHOWN_JOBS: Final = 6
ASKED_FOR: Final = {BACKUP: "started", VERIFY: "verify_started", REHEARSE: "rehearsal_started"}
"""Kinds of jobs that people may ask for, with the verb of the audit log."""


@blueprint.before_request
def only_traders() -> None:
    """Viewers look at results, not at the machine."""
    need_trader()


@blueprint.get("")
def page() -> str:
    """All backups, the newest first, and the work under way."""
    return render_template("operations/backups.html", **_context())


@blueprint.get("/jobs")
def work() -> Response:
    """What follows the work under way; once none is, everything in its place, as the list has changed."""
    lines = _jobs()
    if any(line["active"] for line in lines):
        return make_response(render_template("operations/_backup_jobs.html", jobs=lines))
    return replacing(render_template("operations/_backups.html", **_context()), "#backups")


@blueprint.post("/jobs")
def ask() -> AnyResponse:
    """Take, verify or rehearse one now: a job, which a worker takes at once."""
    need_admin()
    kind, backup = request.form.get("kind", ""), request.form.get("backup", "")
    if kind not in ASKED_FOR or (backup and not is_id(backup)):
        abort(400, _("Only a backup, a verify or a rehearsal can be asked for."))
    args = {"backup": backup} if backup else {}
    job = jobs.create_alone(db.session(), kind=kind, args=args, owner_id=person().id, beside=[kind])
    if job is None:
        flash(_("That is under way already."))
    else:
        audit(f"backup.{ASKED_FOR[kind]}", backup)
        db.session.commit()
        _send(job.job_id)
    return go_to(url_for("operations_backups.page"))


@blueprint.post("/jobs/<uuid:job_id>/cancel")
def cancel(job_id: UUID) -> AnyResponse:
    """Stop it; what was not committed never happened."""
    need_admin()
    try:
        if jobs.get(db.session(), job_id).kind not in KINDS:
            raise JobNotFound(job_id)
        jobs.cancel(db.session(), job_id)
        audit("backup.cancelled", job_id)
        db.session.commit()
    except JobNotFound:
        abort(404)
    except JobEnded:
        db.session.rollback()
        flash(_("It has ended already."))
    return go_to(url_for("operations_backups.page"))


@blueprint.get("/<backup>")
def one(backup: str) -> str:
    """One backup: what is in it, what checks came to, and the commands that bring it back."""
    if not is_id(backup):
        abort(404)
    store = backup_store(settings())
    try:
        found = Summary(backup, store.manifest(backup), tuple(sorted(store.notes(backup), key=lambda note: note.at)))
    except NoSuchBackup:
        abort(404, _("There is no such backup; it may have been pruned."))
    except StorageError as error:
        abort(503, str(error))
    in_s3 = settings().results_bucket is not None
    way_back = ctx_restoring(found, results_in_s3=in_s3, backup_uri=settings().backups_uri)
    return render_template(
        "operations/backups_one.html", line=ctx_line(found), made=found.manifest, notes=found.notes, restoring=way_back
    )


def _context() -> dict[str, object]:
    store = backup_store(settings())
    late = overdue(db.session(), utc_now())
    try:
        backups = ctx_backups(summaries(store, read=_reader(store)), late)
    except StorageError as error:
        backups = ctx_backups([], late, unreachable=str(error))
    zone = settings().timezone
    return {"backups": backups, "jobs": _jobs(), "where": store.where, "clock_zone": zone}


def _jobs() -> list[JobLine]:
    return [ctx_job(job) for job in jobs.listed(db.session(), kinds=KINDS, limit=SHOWN_JOBS)]


def _reader(store: BackupStore) -> Callable[[str], Manifest]:
    """Reads each manifest once: they never change, and with S3 each is a request."""
    kept: dict[str, Manifest] = current_app.extensions.setdefault("backup_manifests", {})

    def read(name: str) -> Manifest:
        if name not in kept:
            kept[name] = store.manifest(name)
        return kept[name]

    return read


def _send(job_id: UUID) -> None:
    """Tell a worker; where the queue is down, the clock does it later."""
    from workers.queue import send_job

    try:
        send_job(broker(), job_id)
    except BrokerDown:
        flash(_("The queue does not answer; the work begins when it is back."))
