"""Presets: loaded into the form of a new backtest, saved from it, deleted."""

from __future__ import annotations

from flask import Blueprint, Response, abort, make_response, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from engine.errors import SpecErrors
from storage_core import presets
from storage_core.names import BadName
from storage_core.presets import PresetNotFound, TooManyPresets
from webapp.catalog import catalogue
from webapp.extensions import db
from webapp.forms import Values, message_for, values_from_form
from webapp.htmx import go_to, is_htmx
from webapp.login import need_trader, person
from webapp.pages.new_backtest import form_context
from webapp.phrases import refused, sentence
from webapp.presets import choose, found_preset, spec_without_market, values_of

blueprint = Blueprint("presets", __name__, url_prefix="/presets")


@blueprint.get("/load")
def load() -> AnyResponse:
    """The form with a preset's fields in it; symbols and dates stay as they are."""
    need_trader()
    preset = choose(found_preset(request.args.get("preset", "")))
    if not is_htmx():
        return go_to(url_for("new_backtest.page", preset=preset.id))
    values = values_of(preset, values_from_form(request.args))
    return make_response(render_template("new_backtest/_form.html", form=form_context(values, {}), known=None))


@blueprint.post("")
def save() -> AnyResponse:
    """Keep the fields of the form under a name."""
    need_trader()
    values = values_from_form(request.form)
    name, shared = request.form.get("preset_name", ""), "preset_shared" in request.form
    try:
        spec = spec_without_market(values, person().timezone, catalogue())
        preset = presets.save(db.session(), owner_id=person().id, name=name, spec=spec, shared=shared)
    except SpecErrors as error:
        first = error.errors[0]
        return _picker(values, error=f"{first.field}: {message_for(first, values, catalogue())}", name=name, status=422)
    except BadName as error:
        text = refused(error.was, error.allowed)
        return _picker(values, error=text, name="", status=422)
    except TooManyPresets as error:
        return _picker(values, error=sentence(str(error)), name=name, status=422)
    db.session.commit()
    choose(preset)
    if not is_htmx():
        return go_to(url_for("new_backtest.page", preset=preset.id))
    return _picker(values, notice=_("Saved as %(name)s.", name=preset.name))


@blueprint.post("/delete")
def delete() -> AnyResponse:
    """Remove one of the person's own."""
    need_trader()
    chosen = found_preset(request.form.get("preset", ""))
    try:
        preset = presets.delete(db.session(), chosen.id, owner_id=person().id)
    except PresetNotFound:
        abort(403, _("This preset is somebody else's; its owner can delete it."))
    db.session.commit()
    if not is_htmx():
        return go_to(url_for("new_backtest.page", strategy=preset.strategy))
    return _picker(values_from_form(request.form), notice=_("Deleted %(name)s.", name=preset.name))


def _picker(values: Values, *, notice: str = "", error: str = "", name: str = "", status: int = 200) -> Response:
    strategy = catalogue().get(values.get("strategy", ""))
    if strategy is None:
        abort(422, _("Choose a strategy first."))
    picker = {"notice": notice, "error": error, "name": name}
    html = render_template("presets/_picker.html", strategy=strategy, picker=picker)
    return make_response(html, status)
