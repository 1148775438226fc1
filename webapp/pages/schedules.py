"""Schedules: backtests that run again on new bars, and the results of each in a row."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, abort, flash, make_response, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from storage_core import schedules
from storage_core.models import Backtest, Schedule
from storage_core.names import BadName
from storage_core.schedules import ScheduleError, ScheduleNotFound
from webapp.catalog import catalogue
from webapp.context.schedules import ctx_run, ctx_schedule
from webapp.errors import answer
from webapp.extensions import db
from webapp.htmx import go_to
from webapp.language import translated
from webapp.login import need_trader, person
from webapp.lookup import visible_backtest
from webapp.phrases import refused

blueprint = Blueprint("schedules", __name__, url_prefix="/schedules")


@blueprint.get("")
def page() -> str:
    """The person's schedules; everybody's for an admin."""
    session = db.session()
    found = schedules.listed(session, owner_id=person().sees_owner)
    last = {one.id: _visible(one.last_task_id) for one in found}
    return render_template(
        "schedules/page.html", schedules=[ctx_schedule(one, last[one.id], catalogue()) for one in found]
    )


@blueprint.get("/new")
def new() -> str:
    """The form for a schedule of the backtest `?of=`."""
    need_trader()
    return _form(_of(request.args.get("of", "")), {"every": "day", "period": "grow", "window_days": "90"}, {})


@blueprint.post("")
def create() -> AnyResponse:
    """Make the schedule; its first run is tonight."""
    need_trader()
    form = request.form
    backtest = _of(form.get("of", ""))
    typed = {name: form.get(name, "")[:100] for name in ("name", "every", "period", "window_days")}
    try:
        made = schedules.create(
            db.session(),
            owner_id=person().id,
            name=typed["name"],
            spec=backtest.spec,
            every=typed["every"],
            window_days=_days(typed["window_days"]) if typed["period"] == "move" else None,
        )
    except (BadName, ScheduleError) as error:
        text = refused(error.was, error.allowed)
        return make_response(_form(backtest, typed, {error.field: text}), 422)
    db.session.commit()
    flash(_("The schedule is made. Its first run is in the night."))
    return go_to(url_for("schedules.show", schedule_id=made.id))


@blueprint.get("/<int:schedule_id>")
def show(schedule_id: int) -> str:
    """One schedule and the results of its runs, the newest first."""
    schedule = _found(schedule_id)
    rows = schedules.results(db.session(), schedule_id)
    return render_template(
        "schedules/show.html",
        schedule=ctx_schedule(schedule, rows[0] if rows else None, catalogue()),
        runs=[ctx_run(row) for row in rows],
    )


@blueprint.post("/<int:schedule_id>/active")
def set_active(schedule_id: int) -> AnyResponse:
    """Let it rest, or go on."""
    need_trader()
    active = request.form.get("active") == "yes"
    schedules.set_active(db.session(), _found(schedule_id), active)
    db.session.commit()
    flash(_("The schedule goes on.") if active else _("The schedule rests until you let it go on."))
    return go_to(url_for("schedules.show", schedule_id=schedule_id))


@blueprint.post("/<int:schedule_id>/delete")
def delete(schedule_id: int) -> AnyResponse:
    """Remove it; the results stay."""
    need_trader()
    schedules.delete(db.session(), _found(schedule_id))
    db.session.commit()
    flash(_("The schedule is deleted; its results stay in the list."))
    return go_to(url_for("schedules.page"))


@blueprint.errorhandler(ScheduleNotFound)
def gone(_error: ScheduleNotFound) -> AnyResponse:
    """Somebody else's, or deleted, perhaps a moment ago."""
    return answer(404, _("There is no such schedule."))


def _found(schedule_id: int) -> Schedule:
    return schedules.get(db.session(), schedule_id, owner_id=person().sees_owner)


def _of(identity: str) -> Backtest:
    try:
        return visible_backtest(UUID(identity))
    except ValueError:
        abort(404, _("Choose a backtest first: open one, and there “Repeat on new bars”."))


def _visible(task_id: UUID | None) -> Backtest | None:
    found = db.session.get(Backtest, task_id) if task_id is not None else None
    return found if found is not None and found.deleted_at is None else None


def _days(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0


def _form(backtest: Backtest, values: dict[str, str], errors: dict[str, str]) -> str:
    known = catalogue().get(backtest.strategy)
    label = translated(known.label) if known else backtest.strategy
    suggested = f"{label}, {', '.join(backtest.symbols)}"[:80]
    return render_template(
        "schedules/new.html", of=backtest, label=label, values={"name": suggested, **values}, errors=errors
    )
