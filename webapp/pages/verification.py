"""Run again and verify, on the setup tab of a result."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, Response, flash, make_response, render_template, url_for
from werkzeug.wrappers import Response as AnyResponse

from storage_core import backtests
from storage_core.errors import NotVerifiable
from storage_core.models import Backtest
from storage_core.verification import create_verification, latest_verification
from webapp.context.verification import Verification, ctx_verification
from webapp.extensions import db
from webapp.htmx import after_the_queue_moved, go_to, is_htmx
from webapp.login import need_trader, person
from webapp.lookup import visible_backtest
from webapp.phrases import sentence
from webapp.submission import dispatch

blueprint = Blueprint("verification", __name__, url_prefix="/backtests/<uuid:task_id>/verification")


@blueprint.get("")
def fragment(task_id: UUID) -> Response:
    """How far it is; polls itself until the second run has ended."""
    return make_response(
        render_template(
            "backtest/_verification.html", task_id=task_id, verification=verification_of(visible_backtest(task_id))
        )
    )


@blueprint.post("")
def verify(task_id: UUID) -> AnyResponse:
    """Queue the second run, and show how far it is."""
    need_trader()
    visible_backtest(task_id)
    try:
        again = create_verification(db.session(), task_id, owner_id=person().id, by=person().name)
    except NotVerifiable as error:
        db.session.rollback()
        flash(sentence(f"{error}"))
    else:
        db.session.commit()
        dispatch(again)
        if is_htmx():
            return after_the_queue_moved(fragment(task_id))
    return go_to(url_for("backtest.setup", task_id=task_id))


def verification_of(backtest: Backtest) -> Verification:
    """What is known: a run that verifies tells of itself, any other of the last run that verified it."""
    session = db.session()
    again: Backtest | None = backtest if backtest.source == "verify" else None
    asked = None if again is not None else latest_verification(backtests.events(session, backtest.task_id))
    if asked is not None:
        again = session.get(Backtest, asked, populate_existing=True)
    if again is not None and again.deleted_at is not None:
        again = None
    found = ctx_verification(backtest, again, asked=asked is not None, zone=person().timezone, now=datetime.now(UTC))
    if again is not None and not person().sees(again):
        found["run_id"] = None
    return found
