"""What is done to several backtests at once from the list: compare, tag, pin, delete, undo, export."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from flask import Blueprint, Response, abort, flash, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response as AnyResponse

from storage_core import backtest_bulk, backtest_list
from storage_core.backtest_filters import Filters
from storage_core.db import utc_now
from storage_core.errors import BadFilter
from webapp.audit import audit
from webapp.extensions import db
from webapp.htmx import go_to
from webapp.list_export import csv_of
from webapp.login import need_trader, person
from webapp.pages.backtests import asked_for, show_again
from webapp.phrases import refused

blueprint = Blueprint("backtests_bulk", __name__, url_prefix="/backtests")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = 32_503_680_000_000_000


@blueprint.get("/export.csv")
def export() -> Response:
    """Everything that the filters match, in the order of the list, as CSV."""
    asked = asked_for(request.args)
    if asked.errors:
        abort(422, "; ".join(f"{name}: {sentence}" for name, sentence in asked.errors.items()))
    return csv_of(db.engine, owner_id=person().sees_owner, filters=asked.filters, sort=asked.sort)


@blueprint.post("/selected")
def selected() -> AnyResponse:
    """One thing, done to the backtests that were ticked."""
    ids, what = _ids(request.form.getlist("id")), request.form.get("do", "")
    if what == "compare":
        return go_to(url_for("compare.page", ids=",".join(map(str, ids))))
    if what == "export":
        return csv_of(db.engine, owner_id=person().sees_owner, filters=Filters(task_ids=ids), sort=backtest_list.NEWEST)
    need_trader()
    try:
        _say(what, ids)
        db.session.commit()
    except BadFilter as error:
        db.session.rollback()
        flash(refused(error.was, error.allowed))
    return show_again(request.form.get("back", ""))


@blueprint.post("/undo")
def undo() -> AnyResponse:
    """Take back what was deleted at the instant `at`, in microseconds since 1970."""
    need_trader()
    at = request.form.get("at", "")
    if not (at.isascii() and at.isdigit() and len(at) < 18 and int(at) < LATEST):
        abort(400, "at must be the instant of a deletion.")
    by = person()
    instant = EPOCH + timedelta(microseconds=int(at))
    back = backtest_bulk.restore(db.session(), instant, owner_id=by.sees_owner, by=by.name)
    for task_id in back:
        audit("backtest.restored", task_id)
    db.session.commit()
    if back:
        flash(ngettext("%(num)s backtest is back.", "%(num)s backtests are back.", len(back)))
    else:
        flash(_("There is nothing to take back: it is back already, or was deleted more than a week ago."))
    return show_again(request.form.get("back", ""))


def flash_deleted(count: int, at: datetime) -> None:
    """Say so on the next page, with a button that takes it back."""
    micros = (at - EPOCH) // timedelta(microseconds=1)
    flash(ngettext("%(num)s backtest deleted.", "%(num)s backtests deleted.", count), f"undo:{micros}")


def _ids(texts: list[str]) -> list[UUID]:
    try:
        return list(dict.fromkeys(UUID(text) for text in texts))
    except ValueError:
        abort(400, "id must be the id of a backtest.")


def _say(what: str, ids: list[UUID]) -> None:
    """Do it, and say to how many it was done."""
    if what not in ("tag", "untag", "pin", "unpin", "delete"):
        abort(400, "do must be compare, export, tag, untag, pin, unpin or delete.")
    if not ids:
        flash(_("Nothing was selected: tick the backtests first."))
    elif what == "delete":
        _delete(ids)
    elif what in ("pin", "unpin"):
        _pin(ids, what == "pin")
    else:
        _tag(ids, adding=what == "tag")


def _delete(ids: list[UUID]) -> None:
    by, now = person(), utc_now()
    gone = backtest_bulk.delete(db.session(), ids, owner_id=by.sees_owner, by=by.name, now=now)
    for task_id in gone:
        audit("backtest.deleted", task_id)
    if gone:
        flash_deleted(len(gone), now)
    if left := len(ids) - len(gone):
        flash(
            ngettext(
                "%(num)s was left: it is pinned, has not ended, or is somebody else's.",
                "%(num)s were left: they are pinned, have not ended, or are somebody else's.",
                left,
            )
        )


def _pin(ids: list[UUID], pinned: bool) -> None:
    done = backtest_bulk.pin(db.session(), ids, owner_id=person().sees_owner, pinned=pinned)
    if pinned:
        flash(ngettext("%(num)s backtest pinned.", "%(num)s backtests pinned.", done))
    else:
        flash(ngettext("%(num)s backtest unpinned.", "%(num)s backtests unpinned.", done))


def _tag(ids: list[UUID], *, adding: bool) -> None:
    tags = [tag.strip() for tag in request.form.get("tags", "").split(",") if tag.strip()]
    if not tags:
        flash(_("Write a tag first, such as trend."))
        return
    changes = {"add": tags} if adding else {"remove": tags}
    done = backtest_bulk.tag(db.session(), ids, owner_id=person().sees_owner, **changes)
    names = ", ".join(tags)
    if adding:
        flash(ngettext("%(num)s backtest tagged %(tags)s.", "%(num)s backtests tagged %(tags)s.", done, tags=names))
    else:
        flash(
            ngettext("%(tags)s taken off %(num)s backtest.", "%(tags)s taken off %(num)s backtests.", done, tags=names)
        )
