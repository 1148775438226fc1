"""The strategies: rule, params, source, presets, how often each ran."""

from __future__ import annotations

from importlib.resources import files

from flask import Blueprint, Response, abort, render_template

from engine.catalog import STRATEGIES
from storage_core import presets
from storage_core.strategy_use import use_of
from webapp.catalog import broken_strategies, catalogue, own_strategies
from webapp.context.strategies import ctx_strategies
from webapp.extensions import db
from webapp.login import person

blueprint = Blueprint("strategies", __name__, url_prefix="/strategies")


@blueprint.get("")
def page() -> str:
    """Every strategy, and those of people's own that cannot be loaded, with the reason."""
    session = db.session()
    return render_template(
        "strategies/page.html",
        strategies=ctx_strategies(
            catalogue(),
            own_strategies(),
            use_of(session, catalogue()),
            presets.listed(session, owner_id=person().id),
        ),
        broken=broken_strategies(),
    )


@blueprint.get("/<name>/source")
def source(name: str) -> Response:
    """The file of a shipped strategy, as it runs. Those of people's own lie with the workers."""
    if name not in STRATEGIES:
        abort(404)
    package, *folders = STRATEGIES[name].signals.partition(":")[0].split(".")
    code = files(package).joinpath(*folders[:-1], f"{folders[-1]}.py").read_text(encoding="utf-8")
    return Response(code, mimetype="text/plain")
