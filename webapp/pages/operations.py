"""Operations, first part: the queue, who works on it, and what failed in every attempt."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from flask import Blueprint, abort, flash, render_template, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response as AnyResponse

from storage_core import processes
from storage_core.queue_report import by_id, flows, running_jobs
from webapp.catalog import catalogue
from webapp.context.queue import Dead, Queue, ctx_dead, ctx_queue
from webapp.extensions import broker, db
from webapp.htmx import go_to
from webapp.login import need_trader, person
from workers.errors import BrokerDown

blueprint = Blueprint("operations", __name__, url_prefix="/operations")

MOST_LETTERS: Final = 1_000
SHOWN_LETTERS: Final = 100


@blueprint.before_request
def only_traders() -> None:
    """Viewers look at results, not at the machine."""
    need_trader()


@blueprint.get("")
def page() -> str:
    """What waits, what runs, who works, and what failed for good."""
    letters = _letters()
    shown = None if letters is None else letters[:SHOWN_LETTERS]
    return render_template("operations/page.html", queue=_queue(), letters=shown, letter_count=len(letters or ()))


@blueprint.get("/queue")
def queue() -> str:
    """The part that follows the queue."""
    return render_template("operations/_queue.html", queue=_queue())


@blueprint.get("/dead-letters/<uuid:task_id>")
def traceback(task_id: UUID) -> str:
    """Where in the code it happened; for admins, as it tells of the machine."""
    _only_admins()
    from workers.dead_letters import list_dead  # with the queue's client, which most processes never load

    found = [letter for letter in list_dead(broker()) if letter.task_id == task_id]
    if not found:
        abort(404, _("This dead letter is gone."))
    return render_template("operations/_traceback.html", letter=found[0])


@blueprint.post("/dead-letters/<uuid:task_id>/retry")
def retry(task_id: UUID) -> AnyResponse:
    """Queue one again; a trader their own."""
    return _retry([task_id] if task_id in _visible_ids() else [])


@blueprint.post("/dead-letters/retry")
def retry_all() -> AnyResponse:
    """Queue all again that the person sees in the list."""
    return _retry(_visible_ids())


@blueprint.post("/dead-letters/<uuid:task_id>/discard")
def discard(task_id: UUID) -> AnyResponse:
    """Remove one letter; the backtest stays failed."""
    return _discard([task_id])


@blueprint.post("/dead-letters/discard")
def discard_all() -> AnyResponse:
    """Remove all letters."""
    return _discard(_visible_ids())


def _queue() -> Queue:
    now, session = datetime.now(UTC), db.session()
    seen = processes.listed(session)
    tasks = by_id(session, [one.task_id for one in seen if one.task_id is not None])
    jobs = running_jobs(session)
    return ctx_queue(flows(session), seen, tasks, jobs=jobs, viewer=person(), now=now, catalog=catalogue())


def _letters() -> list[Dead] | None:
    """The dead letters the person may see; None while the queue server does not answer."""
    from workers.dead_letters import list_dead

    try:
        found = list_dead(broker(), limit=MOST_LETTERS)
    except BrokerDown:
        return None
    return ctx_dead(found, by_id(db.session(), [one.task_id for one in found]), viewer=person())


def _visible_ids() -> list[UUID]:
    return [one["task_id"] for one in _letters() or ()]


def _retry(task_ids: Sequence[UUID]) -> AnyResponse:
    from workers.dead_letters import retry_dead

    def work(ids: Collection[UUID]) -> str:
        count = len(retry_dead(db.engine, broker(), ids, by=person().name))
        return ngettext("%(num)s backtest is queued again.", "%(num)s backtests are queued again.", count)

    return _done(work, task_ids)


def _discard(task_ids: Sequence[UUID]) -> AnyResponse:
    _only_admins()
    from workers.dead_letters import discard_dead

    def work(ids: Collection[UUID]) -> str:
        count = len(discard_dead(db.engine, broker(), ids, by=person().name))
        return ngettext("%(num)s dead letter is discarded.", "%(num)s dead letters are discarded.", count)

    return _done(work, task_ids)


def _done(work: Callable[[Collection[UUID]], str], task_ids: Sequence[UUID]) -> AnyResponse:
    """Do it and say so on the page."""
    try:
        flash(work(task_ids) if task_ids else _("Nothing to do: it was retried or discarded already."))
    except BrokerDown:
        flash(_("The queue server does not answer. What was changed in the database stays; try again in a moment."))
    return go_to(url_for("operations.page"))


def _only_admins() -> None:
    if not person().sees_all:
        abort(403, _("Only an admin may do this."))
