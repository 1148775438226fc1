"""Saved views of the list: keep, rename and delete them."""

from __future__ import annotations

from urllib.parse import parse_qsl

from flask import Blueprint, abort, flash, request
from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from storage_core import saved_views
from storage_core.errors import BadFilter
from storage_core.names import BadName
from webapp.extensions import db
from webapp.login import person
from webapp.pages.backtests import LONGEST_QUERY, asked_for, show, show_again
from webapp.phrases import refused

blueprint = Blueprint("views", __name__, url_prefix="/backtests/views")


@blueprint.post("")
def save() -> AnyResponse:
    """Keep filters, order and columns under a name; the same name again replaces what it had."""
    back, name = request.form.get("back", ""), request.form.get("name", "")
    query = asked_for(MultiDict(parse_qsl(back[:LONGEST_QUERY]))).query()
    try:
        view = saved_views.save(db.session(), person().id, name=name, query=query)
    except (BadFilter, BadName) as error:
        return _refused(error, name)
    db.session.commit()
    flash(_("Saved as %(name)s.", name=view.name))
    return show_again(back)


@blueprint.post("/<int:view_id>/rename")
def rename(view_id: int) -> AnyResponse:
    """Give a view another name."""
    name = request.form.get("name", "")
    try:
        found = saved_views.rename(db.session(), person().id, view_id, name)
    except (BadFilter, BadName) as error:
        return _refused(error, name)
    if not found:
        abort(404)
    db.session.commit()
    flash(_("The view has a new name."))
    return show_again(request.form.get("back", ""))


@blueprint.post("/<int:view_id>/delete")
def remove(view_id: int) -> AnyResponse:
    """Forget a view; the backtests it showed stay."""
    if not saved_views.remove(db.session(), person().id, view_id):
        abort(404)
    db.session.commit()
    flash(_("The view is gone; its backtests are not."))
    return show_again(request.form.get("back", ""))


def _refused(error: BadFilter | BadName, name: str) -> AnyResponse:
    """The list with the menu open and the sentence beside the name."""
    db.session.rollback()
    asked = asked_for(MultiDict(parse_qsl(request.form.get("back", "")[:LONGEST_QUERY])))
    sentence = refused(error.was, error.allowed)
    return show(asked, view_error=sentence, view_name="".join(filter(str.isprintable, name[:100])))
