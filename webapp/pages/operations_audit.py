"""Operations, the audit log: who did what, when and from where."""

from __future__ import annotations

from flask import Blueprint, make_response, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from storage_core import audit
from webapp.context.audit import ctx_actions, ctx_form, ctx_line
from webapp.extensions import db
from webapp.htmx import is_htmx, vary
from webapp.login import need_admin, person

blueprint = Blueprint("operations_audit", __name__, url_prefix="/operations/audit")

PAGE_SIZE = 50


@blueprint.get("")
def page() -> AnyResponse:
    """The newest entries that the filters let through, a page at a time."""
    need_admin()
    form = ctx_form(request.args, person().timezone, bad_day=_("Not a day. Write it as 2026-01-31."))
    found = audit.list_entries(
        db.session(),
        form["filters"],
        after=request.args.get("after"),
        before=request.args.get("before"),
        size=PAGE_SIZE,
    )
    context = {
        "lines": [ctx_line(entry) for entry in found.rows],
        "form": form,
        "query": form["query"],
        "newer": found.newer,
        "older": found.older,
    }
    if is_htmx():
        response = make_response(render_template("operations/_audit_entries.html", **context))
        place = {name: request.args[name] for name in ("after", "before") if name in request.args}
        address = url_for("operations_audit.page", **form["query"], **place)  # without empty fields
        response.headers["HX-Push-Url"] = address
        return vary(response)
    actions = ctx_actions(audit.actions(db.session()))
    return vary(make_response(render_template("operations/audit.html", actions=actions, **context)))
