"""What can be run, and on what."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Response, jsonify
from flask import current_app as app
from flask_openapi3 import APIBlueprint, Tag

from engine.catalog import StrategySpec
from webapp.catalog import catalogue
from webapp.extensions import bar_store

blueprint = APIBlueprint("catalogue", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="catalogue")])


@blueprint.get("/strategies")
def strategies() -> Response:
    """Every strategy with its params and their limits."""
    return jsonify({"strategies": [_strategy(one) for one in catalogue().values()]})


@blueprint.get("/data")
def data() -> Response:
    """Every symbol and timeframe that is stored, with its range."""
    inventory = [
        {
            "symbol": one.symbol,
            "timeframe": one.timeframe,
            "rows": one.rows,
            "first": one.first.isoformat(),
            "last": one.last.isoformat(),
            "bytes": one.bytes,
        }
        for one in bar_store().inventory()
    ]
    return jsonify({"data": inventory})


@blueprint.get("/openapi.json", doc_ui=False)
def openapi() -> Response:
    """This API's own description."""
    return jsonify(app.api_doc)  # type: ignore[attr-defined]


def _strategy(strategy: StrategySpec) -> dict[str, Any]:
    return {
        "name": strategy.name,
        "label": strategy.label,
        "help": strategy.help,
        "params": [asdict(param) for param in strategy.params],
    }
