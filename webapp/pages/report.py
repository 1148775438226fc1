"""The report of a result, to read, to print and to keep."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, abort, make_response
from flask_babel import gettext as _

from webapp.lookup import visible_backtest
from webapp.phrases import said

blueprint = Blueprint("report", __name__)


@blueprint.get("/backtests/<uuid:task_id>/report.html")
def page(task_id: UUID) -> Response:
    """One HTML file with everything in it."""
    from webapp.report import POLICY, report_html

    backtest = visible_backtest(task_id)
    if backtest.status != "completed":
        abort(404, _("This backtest has no result: it is %(status)s.", status=said(backtest.status)))
    response = make_response(report_html(backtest))
    response.headers["Content-Security-Policy"] = POLICY
    return response
