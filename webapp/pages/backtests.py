"""The list of backtests, its rows while they run, and the figures in the header."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, Response, make_response, render_template, request

from storage_core import backtests
from webapp.catalog import catalogue
from webapp.context.rows import ACTIVE, ctx_row
from webapp.extensions import db
from webapp.htmx import replacing
from webapp.login import person
from webapp.lookup import visible_backtest

blueprint = Blueprint("backtests", __name__, url_prefix="/backtests")

PAGE_SIZES = (25, 50, 100)


@blueprint.get("")
def page() -> str:
    """Newest first, a page at a time."""
    size = request.args.get("size", default=PAGE_SIZES[0], type=int)
    found = backtests.list_page(
        db.session(),
        owner_id=person().sees_owner,
        after=request.args.get("after"),
        before=request.args.get("before"),
        size=size if size in PAGE_SIZES else PAGE_SIZES[0],
    )
    now = datetime.now(UTC)
    return render_template(
        "backtests/page.html",
        rows=[ctx_row(row, now, catalogue()) for row in found.rows],
        newer=found.newer,
        older=found.older,
        size=size if size in PAGE_SIZES else PAGE_SIZES[0],
    )


@blueprint.get("/<uuid:task_id>/row")
def row(task_id: UUID) -> Response:
    """The progress cell of a running backtest; once it has ended, the whole row in its place."""
    backtest = visible_backtest(task_id)
    context = ctx_row(backtest, datetime.now(UTC), catalogue())
    if backtest.status in ACTIVE:
        return make_response(render_template("backtests/_progress.html", row=context))
    return replacing(render_template("backtests/_row.html", row=context), f"#backtest-{task_id}")


@blueprint.get("/queue")
def queue() -> str:
    """Running and queued, for the header."""
    return render_template("shared/_counts.html")
