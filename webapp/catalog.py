"""The strategies a person can choose: the shipped ones, and people's own as the workers listed them."""

from __future__ import annotations

from collections.abc import Mapping

from flask import g

from engine.catalog import STRATEGIES, Catalog, StrategySpec, extended_catalog
from engine.spec import ParamSpec
from storage_core import custom_strategies
from storage_core.models import CustomStrategy
from webapp.extensions import db


def own_strategies() -> Mapping[str, CustomStrategy]:
    """People's own strategies by name, the broken ones included, read once a request."""
    if "own_strategies" not in g:
        g.own_strategies = {row.name: row for row in custom_strategies.listed(db.session())}
    found: Mapping[str, CustomStrategy] = g.own_strategies
    return found


def broken_strategies() -> list[CustomStrategy]:
    """Those that the workers could not load; `error` says why."""
    return [row for row in own_strategies().values() if row.error]


def catalogue() -> Catalog:
    """Every strategy that works, read once a request. The rules of people's own stay in the workers."""
    if "catalogue" not in g:
        own = [_spec(row) for row in own_strategies().values() if not row.error]
        g.catalogue = extended_catalog(one for one in own if one.name not in STRATEGIES)
    found: Catalog = g.catalogue
    return found


def _spec(row: CustomStrategy) -> StrategySpec:
    """The listed strategy without its code: rules between params are checked when a worker runs it."""
    params = tuple(ParamSpec(**{**fields, "choices": tuple(fields["choices"])}) for fields in row.params.values())
    return StrategySpec(
        name=row.name, label=row.label, help=row.help, params=params, signals=row.source, warmup=lambda _: 0
    )
