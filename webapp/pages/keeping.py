"""What people do with a result: note, tag, pin, share it, switch symbols on and off, delete it and take that back."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response, abort, flash, make_response, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from storage_core import backtest_keeping, backtests
from storage_core.errors import BacktestNotFound, BadFilter, NotDeletable, NotRestorable
from storage_core.models import Backtest
from webapp.audit import audit
from webapp.context.keeping import ctx_note, split_tags
from webapp.extensions import bar_store, db, settings
from webapp.htmx import go_to, is_htmx, replacing
from webapp.login import need_trader, person
from webapp.lookup import visible_backtest
from webapp.pages.backtest import content_of, head_of
from webapp.phrases import refused, said, sentence

blueprint = Blueprint("keeping", __name__, url_prefix="/backtests/<uuid:task_id>")


@blueprint.get("/note")
def note(task_id: UUID) -> Response:
    """The panel of note and tags; with `edit` as a form."""
    backtest = visible_backtest(task_id)
    editing = "edit" in request.args and head_of(backtest)["may_change"]
    return make_response(_note(backtest, ctx_note(backtest, editing=editing)))


@blueprint.post("/note")
def write_note(task_id: UUID) -> AnyResponse:
    """Keep note and tags."""
    backtest = _own(task_id)
    typed = {name: request.form.get(name, "") for name in ("note", "tags")}
    try:
        backtest_keeping.annotate(db.session(), task_id, note=typed["note"], tags=split_tags(typed["tags"]))
    except BadFilter as error:
        db.session.rollback()
        context = ctx_note(
            visible_backtest(task_id), typed=typed, errors={error.field: refused(error.was, error.allowed)}
        )
        return make_response(_note(visible_backtest(task_id), context), 422)
    db.session.commit()
    if not is_htmx():
        return go_to(url_for("backtest.page", task_id=task_id))
    return make_response(
        _note(backtest, ctx_note(backtest))
        + render_template("backtest/_chips.html", head=head_of(backtest), swapped=True)
    )


@blueprint.post("/pin")
def pin(task_id: UUID) -> AnyResponse:
    """Pin it, so that nothing deletes it, or no longer (`on` is empty)."""
    _own(task_id)
    changed = backtest_keeping.annotate(db.session(), task_id, pinned=bool(request.form.get("on")))
    db.session.commit()
    return _head(changed)


@blueprint.post("/share")
def share(task_id: UUID) -> AnyResponse:
    """Let everybody read it who may log in, or no longer (`on` is empty)."""
    _own(task_id)
    shared = bool(request.form.get("on"))
    changed = backtest_keeping.share(db.session(), task_id, shared=shared)
    audit("backtest.shared" if shared else "backtest.unshared", task_id)
    db.session.commit()
    return _head(changed)


@blueprint.post("/symbols")
def symbols(task_id: UUID) -> AnyResponse:
    """Switch one symbol on or off, or all on, and show the figures of those that count."""
    from webapp.symbol_figures import can_choose, switch

    backtest = _own(task_id)
    if not can_choose(backtest):
        abort(400, _("Only a finished result of several symbols, run by this product, can leave some of them out."))
    symbol = request.form.get("symbol", "")
    wanted = {symbol: bool(request.form.get("on"))} if symbol else dict.fromkeys(backtest.symbols, True)
    try:
        changed = switch(db.session(), backtest, wanted, settings=settings(), store=bar_store())
    except BadFilter:
        db.session.rollback()
        abort(422, _("At least one symbol must count."))
    db.session.commit()
    if not is_htmx():
        return go_to(url_for("backtest.page", task_id=task_id))
    return replacing(content_of(changed, "overview"), "#backtest")


@blueprint.post("/delete")
def delete(task_id: UUID) -> AnyResponse:
    """Delete it; its page then offers to take that back."""
    _own(task_id)
    try:
        backtest_keeping.delete(db.session(), task_id, by=person().name)
    except NotDeletable as error:
        db.session.rollback()
        flash(_("It was not deleted: %(why)s.", why=said(f"{error}")))
    else:
        audit("backtest.deleted", task_id)
        db.session.commit()
    return go_to(url_for("backtest.page", task_id=task_id))


@blueprint.post("/restore")
def restore(task_id: UUID) -> AnyResponse:
    """Take a deletion back."""
    need_trader()
    backtest = backtests.get(db.session(), task_id)
    if not person().owns(backtest):
        raise BacktestNotFound(task_id)
    try:
        backtest_keeping.restore(db.session(), task_id, by=person().name)
    except NotRestorable as error:
        db.session.rollback()
        flash(sentence(f"{error}"))
        return go_to(url_for("backtests.page"))
    audit("backtest.restored", task_id)
    db.session.commit()
    flash(_("The backtest is back."))
    return go_to(url_for("backtest.page", task_id=task_id))


def _own(task_id: UUID) -> Backtest:
    """The backtest, if the person may change it."""
    need_trader()
    backtest = visible_backtest(task_id)
    if not person().owns(backtest):
        abort(403, _("Only its owner, or an admin, may change this backtest."))
    return backtest


def _head(backtest: Backtest) -> AnyResponse:
    if not is_htmx():
        return go_to(url_for("backtest.page", task_id=backtest.task_id))
    return make_response(render_template("backtest/_head.html", head=head_of(backtest)))


def _note(backtest: Backtest, context: object) -> str:
    return render_template("backtest/_note.html", head=head_of(backtest), note=context)
