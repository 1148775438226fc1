"""Presets as the form of a new backtest offers them, read once a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from flask import abort, g
from flask_babel import gettext as _

from engine.catalog import Catalog
from engine.spec import parse_spec, spec_to_dict
from storage_core import presets
from storage_core.models import Preset
from storage_core.presets import PresetNotFound
from webapp.catalog import catalogue
from webapp.extensions import db
from webapp.forms import Values, raw_spec, values_from_spec
from webapp.login import person

MARKET_FIELDS: Final = (
    "symbols", "timeframe", "start_date", "end_date", "candle_size", "suggested_start", "suggested_end",
)  # fmt: skip
"""What the form keeps when a preset is loaded."""
SOME_MARKET: Final[Mapping[str, Any]] = {
    "symbols": ["USD-BTC"],
    "timeframe": "1h",
    "start_date": "2000-01-01",
    "end_date": "2000-01-01",
    "candle_size": None,
}
"""A market that is always sound, for the check of a spec whose market does not count."""


def presets_of(strategy: str) -> Sequence[Preset]:
    """The person's own presets of a strategy, and the shared ones."""
    return presets.listed(db.session(), owner_id=person().id, strategy=strategy)


def chosen_preset() -> Preset | None:
    """The one that this request has loaded or saved."""
    found: Preset | None = g.get("chosen_preset")
    return found


def choose(preset: Preset) -> Preset:
    """Note that this request is about `preset`."""
    g.chosen_preset = preset
    return preset


def values_of(preset: Preset, typed: Values) -> Values:
    """The form filled in from a preset; market and period stay as they were typed."""
    blank = {"symbols": [], "timeframe": "", "start_date": "", "end_date": "", "candle_size": None}
    filled = values_from_spec({**preset.fields, **blank})
    kept = {name: typed[name] for name in MARKET_FIELDS if typed.get(name)}
    return {**{name: value for name, value in filled.items() if value != ""}, "symbols": [], **kept}


def spec_without_market(values: Values, timezone: str, catalog: Catalog) -> dict[str, Any]:
    """What a preset keeps of a form, checked; raises SpecErrors. Its market is none of the person's."""
    raw = {**raw_spec(values, timezone, catalog), **SOME_MARKET}
    return spec_to_dict(parse_spec(raw, catalog))


def found_preset(identity: str) -> Preset:
    """The preset of that number, when the person may load it and its strategy is there; else 404."""
    try:
        number = int(identity) if identity.isascii() and identity.isdigit() and len(identity) < 10 else 0
        preset = presets.get(db.session(), number, owner_id=person().id)
    except PresetNotFound:
        abort(404, _("There is no such preset."))
    if preset.strategy not in catalogue():
        abort(404, _("The strategy of this preset, %(name)s, is not there any more.", name=preset.strategy))
    return preset
