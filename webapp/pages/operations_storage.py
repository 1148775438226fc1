"""Operations: how much is stored, whether all of it is there, how much room is left, and making room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from flask import Blueprint, abort, current_app, flash, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from storage_core import jobs, stores
from storage_core.cleanup import ENDED
from storage_core.db import utc_now
from storage_core.errors import JobNotFound
from storage_core.models import Job
from storage_core.stats import Stats, storage_stats
from webapp.audit import audit
from webapp.context.storage import (
    CLEAN_UP,
    RECONCILE,
    UNDELETE,
    VERIFY,
    WorkLine,
    ctx_ages,
    ctx_checks,
    ctx_disks,
    ctx_sides,
    ctx_strategies,
    ctx_work,
)
from webapp.extensions import broker, db, settings
from webapp.htmx import go_to
from webapp.login import need_admin, need_trader, person
from webapp.readiness import Remembered
from workers.errors import BrokerDown

blueprint = Blueprint("operations_storage", __name__, url_prefix="/operations/storage")

SHOWN_WORK: Final = 6
KEPT_SECONDS: Final = 20.0
MOST_DAYS, MOST_KEPT = 36_500, 100_000
TYPED: Final = {"days": "90", "status": "", "keep_top": "0"}


@blueprint.before_request
def only_traders() -> None:
    """Viewers look at results, not at the machine."""
    need_trader()


@blueprint.get("")
def page() -> str:
    """What is stored, what is missing, what is left; and the rules of the last preview, which the address has."""
    return _show(_typed({**TYPED, **request.args}), {})


@blueprint.get("/cleanups")
def work() -> str:
    """The part that follows clean-ups."""
    return render_template("operations/_storage_work.html", work=_work())


@blueprint.post("/preview")
def preview() -> AnyResponse | tuple[str, int]:
    """Find what a clean-up would delete; a job, as there may be many."""
    need_admin()
    typed = _typed(request.form)
    args, errors = _rules(typed)
    if errors:
        return _show(typed, errors), 422
    return _begin(CLEAN_UP, {**args, "dry_run": True})


@blueprint.post("/cleanups/<uuid:job_id>/delete")
def delete(job_id: UUID) -> AnyResponse:
    """Delete by the rules of a preview."""
    need_admin()
    job = _ended(job_id, CLEAN_UP)
    if not job.args.get("dry_run"):
        abort(409, _("This has been done already."))
    audit("results.cleaned_up", "", **{name: job.args[name] for name in ("days", "statuses", "keep_top")})
    return _begin(CLEAN_UP, {**job.args, "dry_run": False})


@blueprint.post("/cleanups/<uuid:job_id>/undo")
def undo(job_id: UUID) -> AnyResponse:
    """Take back a clean-up."""
    need_admin()
    task_ids = _ended(job_id, CLEAN_UP).outcome.get("task_ids") or []
    if not task_ids:
        abort(409, _("There is nothing to take back from here."))
    audit("results.restored", "", count=len(task_ids))
    return _begin(UNDELETE, {"task_ids": task_ids})


def _typed(given: Mapping[str, str]) -> dict[str, str]:
    return {name: given.get(name, "").strip()[:20] for name in TYPED}


def _rules(typed: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    errors: dict[str, str] = {}
    for name, most in (("days", MOST_DAYS), ("keep_top", MOST_KEPT)):
        if not (typed[name].isascii() and typed[name].isdigit() and int(typed[name]) <= most):
            errors[name] = _(
                "Was %(was)s; allowed: a whole number from 0 to %(most)s.", was=repr(typed[name]), most=most
            )
    if typed["status"] not in ("", *ENDED):
        errors["status"] = _("Was %(was)s; allowed: %(all)s.", was=repr(typed["status"]), all=", ".join(ENDED))
    if errors:
        return {}, errors
    statuses = [typed["status"]] if typed["status"] else []
    return {"days": int(typed["days"]), "statuses": statuses, "keep_top": int(typed["keep_top"])}, {}


def _begin(kind: str, args: Mapping[str, Any]) -> AnyResponse:
    session = db.session()
    rules = {"days": args.get("days"), "status": "".join(args.get("statuses", ())), "keep_top": args.get("keep_top")}
    unusual = {name: rule for name, rule in rules.items() if rule is not None and str(rule) != TYPED[name]}
    after = url_for("operations_storage.page", **unusual, _anchor="storage-work")
    about = {**args, "by": person().name}
    job = jobs.create_alone(session, kind=kind, args=about, owner_id=person().id, beside=[CLEAN_UP, UNDELETE])
    if job is None:
        flash(_("One clean-up is under way; wait for its end."))
        return go_to(after)
    session.commit()
    from workers.queue import send_job

    try:
        send_job(broker(), job.job_id)
    except BrokerDown:
        flash(_("The queue does not answer; the work begins when it is back."))
    return go_to(after)


def _ended(job_id: UUID, kind: str) -> Job:
    try:
        job = jobs.get(db.session(), job_id)
    except JobNotFound:
        abort(404)
    if job.kind != kind:
        abort(404)
    if job.status != "completed":
        abort(409, _("It has not been completed."))
    return job


def _show(typed: Mapping[str, str], errors: Mapping[str, str]) -> str:
    session, mode = db.session(), settings().result_storage_mode
    stats = _stats()
    return render_template(
        "operations/storage.html",
        stats=stats,
        by_strategy=ctx_strategies(stats),
        by_age=ctx_ages(stats),
        mode=mode,
        where=settings().results_uri or str(settings().results_dir),
        sides=ctx_sides(mode, stores.kept_as(session), stores.missing(session, mode)),
        disks=ctx_disks(settings()),
        checks=ctx_checks(_newest(VERIFY), _newest(RECONCILE)),
        work=_work(),
        statuses=ENDED,
        values=typed,
        errors=errors,
    )


def _stats() -> Stats:
    """Counted over every row, so not for each look at the page."""
    kept: Remembered[Stats] = current_app.extensions.setdefault("storage_stats", Remembered(KEPT_SECONDS))
    return kept.get(lambda: storage_stats(db.engine))


def _newest(kind: str) -> Job | None:
    return next(iter(jobs.listed(db.session(), kinds=[kind], statuses=["completed"], limit=1)), None)


def _work() -> list[WorkLine]:
    return [ctx_work(job, utc_now()) for job in jobs.listed(db.session(), kinds=[CLEAN_UP, UNDELETE], limit=SHOWN_WORK)]
