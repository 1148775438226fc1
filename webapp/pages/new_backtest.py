"""The form of a new backtest, its fragments, and what happens when it is sent."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, Response, abort, jsonify, make_response, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from engine.errors import SpecErrors
from engine.spec import BacktestSpec
from storage_core.errors import NoBars
from webapp.catalog import catalogue
from webapp.context.form import ctx_form, ctx_market, ctx_params, field_id
from webapp.context.known import Known, ctx_known
from webapp.extensions import bar_store
from webapp.forms import Values, default_values, message_for, raw_spec, values_from_form, values_from_spec
from webapp.htmx import go_to, is_htmx, vary
from webapp.login import need_trader, person
from webapp.lookup import visible_backtest
from webapp.phrases import said
from webapp.presets import choose, found_preset, values_of
from webapp.submission import BarsMissing, already_run, checked, enter

blueprint = Blueprint("new_backtest", __name__)

FIRST_STRATEGY = "sma_cross"
PARTS = ("market", "range", "estimate")
FORM = "form"


@blueprint.get("/backtests/new")
def page() -> str:
    """The empty form, or one filled in from another backtest (`?clone=`) or from a preset (`?preset=`), for a
    strategy (`?strategy=`) or for stored bars (`?symbol=&timeframe=`)."""
    need_trader()
    return render_template("new_backtest/page.html", form=form_context(_first_values(), {}), known=None)


@blueprint.get("/backtests/new/<part>")
def market(part: str) -> str:
    """Symbols and dates after another timeframe, dates after other symbols, the size after other dates; or the whole
    form with what was typed before the page was loaded again."""
    if part not in (*PARTS, FORM):
        abort(404)
    values = values_from_form(request.args)
    if part == FORM:
        need_trader()
        return render_template("new_backtest/_form.html", form=form_context(values, {}), known=None)
    context = ctx_market(values, {}, inventory=bar_store().inventory(), zone=person().timezone)
    html = render_template(f"new_backtest/_{part}.html", market=context)
    if part == "estimate":
        return html
    return html + render_template("new_backtest/_estimate.html", market=context, oob=True)


@blueprint.get("/strategies/<name>/fields")
def fields(name: str) -> str:
    """The params of a strategy, at their defaults."""
    strategy = catalogue().get(name)
    if strategy is None:
        abort(404, _("There is no strategy %(name)s.", name=repr(name[:60])))
    return render_template("new_backtest/_params.html", strategy=strategy, params=ctx_params(strategy, {}, {}))


@blueprint.get("/strategies/fields")
def chosen_fields() -> str:
    """The same for the strategy that the form names: what its select asks for when it changes."""
    return fields(request.args.get("strategy", ""))


@blueprint.post("/backtests")
def create() -> AnyResponse:
    """Check and submit, then follow the new backtest; or the form again with an answer beside each wrong field.

    What was run before is offered first, unless the person has seen the offer and wants it run again (`again`).
    """
    need_trader()
    values = values_from_form(request.form)
    spec, errors = _read(values)
    if spec is None:
        return _refused(values, errors)
    if "again" not in request.form and (known := already_run(spec, by=person())) is not None:
        return _form_again(values, {}, known=ctx_known(known, datetime.now(UTC)), status=200)
    backtest = enter(spec, owner=person(), source="web")
    return go_to(url_for("backtest.page", task_id=backtest.task_id))


@blueprint.post("/backtests/check")
def check() -> Response:
    """What is wrong with the form as it stands, by the id of each field: asked for while it is filled in."""
    need_trader()
    _spec, errors = _read(values_from_form(request.form))
    return jsonify({field_id(path): text for path, text in errors.items()})


def _read(values: Values) -> tuple[BacktestSpec | None, dict[str, str]]:
    """The spec of the form, or what is wrong with it by dotted path."""
    try:
        return checked(raw_spec(values, person().timezone, catalogue()), bar_store(), catalogue()), {}
    except SpecErrors as error:
        errors: dict[str, str] = {}
        for one in error.errors:
            errors.setdefault(one.field, message_for(one, values, catalogue()))
        return None, errors
    except BarsMissing as error:
        return None, {"symbols": " ".join(_no_bars(one) for one in error.missing)}


def _no_bars(error: NoBars) -> str:
    there = ", ".join(said(one) for one in error.available.split(", "))
    what = f"{error.symbol} {error.timeframe}"
    return _("No bars for %(what)s; available: %(others)s.", what=what, others=there)


def _first_values() -> Values:
    clone, preset = request.args.get("clone"), request.args.get("preset")
    if clone is None and preset is not None:
        return values_of(choose(found_preset(preset)), {})
    if clone is None:
        return _on_these_bars(
            default_values(catalogue().get(request.args.get("strategy", "")) or catalogue()[FIRST_STRATEGY])
        )
    try:
        task_id = UUID(clone)
    except ValueError:
        abort(404)
    return values_from_spec(visible_backtest(task_id).spec)


def _on_these_bars(values: Values) -> Values:
    """With the symbol and the timeframe that the address names, when they are stored."""
    wanted = request.args.get("symbol", ""), request.args.get("timeframe", "")
    if any((one.symbol, one.timeframe) == wanted for one in bar_store().inventory()):
        values["symbols"], values["timeframe"] = [wanted[0]], wanted[1]
    return values


def _refused(values: Values, errors: dict[str, str]) -> Response:
    return _form_again(values, errors, known=None, status=422)


def _form_again(values: Values, errors: dict[str, str], *, known: Known | None, status: int) -> Response:
    name = "new_backtest/_form.html" if is_htmx() else "new_backtest/page.html"
    return vary(make_response(render_template(name, form=form_context(values, errors), known=known), status))


def form_context(values: Values, errors: dict[str, str]) -> object:
    """The form with these values, and an answer beside each wrong field."""
    inventory = bar_store().inventory()
    if not values["symbols"] and not errors:
        values["symbols"] = [one.symbol for one in inventory if one.timeframe == "1h"][:1]
    return ctx_form(values, errors, inventory=inventory, zone=person().timezone, catalog=catalogue())
