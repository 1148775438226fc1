"""The list of backtests, its rows while they run, and the figures in the header."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from storage_core import backtest_list, saved_views
from storage_core.account_names import account_names
from storage_core.models import Backtest
from webapp.catalog import catalogue
from webapp.context.listing import Known, ctx_columns, ctx_filters, ctx_heads, ctx_order
from webapp.context.rows import ACTIVE, Row, ctx_row
from webapp.extensions import bar_store, db
from webapp.htmx import after_the_queue_moved, is_htmx, replacing, vary
from webapp.list_query import PAGE_SIZES, Asked, Viewer, read
from webapp.login import person
from webapp.lookup import visible_backtest

blueprint = Blueprint("backtests", __name__, url_prefix="/backtests")

COUNTED = 1_000
LONGEST_QUERY = 8_000


@blueprint.get("")
def page() -> AnyResponse:
    """The list that the address asks for; only its content for htmx."""
    asked = asked_for(request.args)
    address = address_of(asked.here())
    if not is_htmx() and not asked.errors and asked.respelt(request.args):
        return redirect(address, 303)  # a form without JavaScript sends its empty fields too, and numbers as typed
    response = show(asked)
    if is_htmx():
        response.headers["HX-Push-Url"] = address
    return response


@blueprint.get("/<uuid:task_id>/row")
def row(task_id: UUID) -> Response:
    """The progress cell of a running backtest; once it has ended, the whole row in its place."""
    backtest = visible_backtest(task_id)
    asked = asked_for(request.args)
    (context,) = ctx_rows([backtest], asked.columns)
    more = {"pick": "plain" not in request.args, "columns": asked.column_query()}
    if backtest.status in ACTIVE:
        return make_response(render_template("backtests/_progress.html", row=context, **more))
    whole = render_template("backtests/_row.html", row=context, **more)
    return after_the_queue_moved(replacing(whole, f"#backtest-{task_id}"))


@blueprint.get("/queue")
def queue() -> str:
    """Running and queued, for the header."""
    return render_template("shared/_counts.html")


def asked_for(args: MultiDict[str, str]) -> Asked:
    """What these parameters ask for, as the logged-in person means it."""
    by = person()
    owners = {name: id_ for id_, name in account_names(db.session()).items()} if by.sees_all else {}
    return read(args, Viewer(id=by.id, zone=by.timezone, owners={**owners, "me": by.id}))


def address_of(query: str) -> str:
    """The address of the list with this query string."""
    return url_for("backtests.page") + (f"?{query}" if query else "")


def show(asked: Asked, **more: Any) -> Response:
    """The list: a whole page, or for htmx what is in it. Nothing is looked up while a filter is wrong."""
    context = {**_found(asked), **_around(asked), "fragment": is_htmx(), "view_error": "", "view_name": "", **more}
    html = render_template("backtests/_list.html" if is_htmx() else "backtests/page.html", **context)
    return vary(make_response(html, 422 if asked.errors or context["view_error"] else 200))


def show_again(back: str) -> AnyResponse:
    """After something was done: the list with the query string `back`, as a page of its own or as a fragment."""
    asked = asked_for(MultiDict(parse_qsl(back[:LONGEST_QUERY])))
    return show(asked) if is_htmx() else redirect(address_of(asked.here()), 303)


def ctx_rows(rows: Sequence[Backtest], columns: tuple[str, ...]) -> list[Row]:
    """The lines of these backtests; other people's carry their owner's name."""
    now, by, known = datetime.now(UTC), person(), catalogue()
    others = any(one.owner_id not in (None, by.id) for one in rows)
    names = account_names(db.session()) if others else {}
    return [
        ctx_row(
            one, now, known, columns=columns, owner=names.get(one.owner_id or 0, "") if one.owner_id != by.id else ""
        )
        for one in rows
    ]


def _found(asked: Asked) -> dict[str, Any]:
    if asked.errors:
        return {"rows": [], "newer": None, "older": None, "count": None}
    session, owner = db.session(), person().sees_owner
    found = backtest_list.list_page(
        session,
        owner_id=owner,
        after=asked.after,
        before=asked.before,
        size=asked.size,
        filters=asked.filters,
        sort=asked.sort,
    )
    return {
        "rows": ctx_rows(found.rows, asked.columns),
        "newer": None if found.newer is None else asked.query(before=found.newer),
        "older": None if found.older is None else asked.query(after=found.older),
        "count": backtest_list.count_up_to(session, COUNTED, owner_id=owner, filters=asked.filters),
    }


def _around(asked: Asked) -> dict[str, Any]:
    """Filters, headers, views: what stands around the rows."""
    views, query = saved_views.listed(db.session(), person().id), asked.query()
    known = Known(
        strategies=catalogue(),
        symbols=sorted({one.symbol for one in bar_store().inventory()}),
        owners=["me", *(account_names(db.session()).values() if person().sees_all else ())],
    )
    return {
        "asked": asked,
        "filters": ctx_filters(asked, known),
        "heads": ctx_heads(asked),
        "order": ctx_order(asked),
        "columns": ctx_columns(asked),
        "column_query": asked.column_query(),
        "query": query,
        "here": asked.here(),
        "counted": COUNTED,
        "sizes": [(size, asked.query(size=str(size))) for size in PAGE_SIZES],
        "views": [
            {"id": view.id, "name": view.name, "query": view.query, "open": view.query == query} for view in views
        ],
    }
