"""What can be run, and on what."""

from __future__ import annotations

from dataclasses import asdict

from flask import Response

from engine.catalog import STRATEGIES, StrategySpec
from webapp.api.answers import BrokenStrategy, CoverageInfo, Inventory, StrategyInfo, StrategyList
from webapp.api.blueprint import CATALOGUE, answers, blueprint, to_json
from webapp.api.requests import Nothing, param_schema
from webapp.catalog import broken_strategies, catalogue, own_strategies
from webapp.extensions import bar_store


@blueprint.get("/strategies", tags=[CATALOGUE], responses=answers({200: StrategyList}, 422))
def strategies(query: Nothing) -> Response:
    """List the strategies, shipped and your own, with their params and limits."""
    broken = [BrokenStrategy.model_validate(row, from_attributes=True) for row in broken_strategies()]
    return to_json(StrategyList(strategies=[_strategy(one) for one in catalogue().values()], broken=broken))


@blueprint.get("/data", tags=[CATALOGUE], responses=answers({200: Inventory}, 422))
def data(query: Nothing) -> Response:
    """List the stored bars: symbols, timeframes and their ranges."""
    return to_json(Inventory(data=[CoverageInfo.model_validate(one) for one in bar_store().inventory()]))


def _strategy(strategy: StrategySpec) -> StrategyInfo:
    schema = {
        "type": "object",
        "properties": {param.name: param_schema(param) for param in strategy.params},
        "additionalProperties": False,
    }
    params = [{**asdict(param), "choices": list(param.choices)} for param in strategy.params]
    own = own_strategies().get(strategy.name)
    return StrategyInfo(
        name=strategy.name,
        label=strategy.label,
        help=strategy.help,
        own=strategy.name not in STRATEGIES,
        source=own.source if own else None,
        sha256=own.sha256 if own else None,
        params=params,
        params_schema=schema,
    )
