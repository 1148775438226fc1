"""The page of strategies, as its template sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypedDict

from flask_babel import gettext as _

from engine.catalog import STRATEGIES, Catalog, StrategySpec
from engine.params import ParamSpec
from storage_core.models import CustomStrategy, Preset
from storage_core.strategy_use import MOST_COUNTED, Use
from webapp.context.rows import value_words
from webapp.filters import MISSING, count


class Param(TypedDict):
    """One param: what it is called, its default and its limits, in words."""

    name: str
    label: str
    help: str
    default: str
    allowed: str


class Strategy(TypedDict):
    """One strategy as the page shows it."""

    name: str
    label: str
    help: str
    own: bool
    source: str
    sha256: str
    params: Sequence[Param]
    presets: Sequence[Preset]
    runs: str
    last_at: datetime | None
    lookahead_ok: bool | None


def ctx_strategies(
    catalog: Catalog,
    own: Mapping[str, CustomStrategy],
    use: Mapping[str, Use],
    presets: Sequence[Preset],
) -> list[Strategy]:
    """Every strategy that can be run, the shipped ones first."""
    return [
        _strategy(spec, own.get(spec.name), use[spec.name], [one for one in presets if one.strategy == spec.name])
        for spec in catalog.values()
    ]


def _strategy(spec: StrategySpec, own: CustomStrategy | None, use: Use, presets: Sequence[Preset]) -> Strategy:
    return {
        "name": spec.name,
        "label": spec.label,
        "help": spec.help,
        "own": spec.name not in STRATEGIES,
        "source": own.source if own else f"{spec.signals.partition(':')[0].replace('.', '/')}.py",
        "sha256": own.sha256 if own else "",
        "params": [_param(param) for param in spec.params],
        "presets": presets,
        "runs": f"{MOST_COUNTED:,}+" if use.runs > MOST_COUNTED else count(use.runs),
        "last_at": use.last_at,
        "lookahead_ok": use.lookahead_ok,
    }


def _param(param: ParamSpec) -> Param:
    return {
        "name": param.name,
        "label": param.label,
        "help": param.help,
        "default": MISSING if param.default is None else value_words(param.default),
        "allowed": _allowed(param),
    }


def _allowed(param: ParamSpec) -> str:
    if param.choices:
        return ", ".join(str(choice) for choice in param.choices)
    if param.type == "bool":
        return _("on, off")
    low = MISSING if param.minimum is None else f"{'> ' if param.exclusive_minimum else ''}{value_words(param.minimum)}"
    high = MISSING if param.maximum is None else value_words(param.maximum)
    return f"{low} … {high}"
