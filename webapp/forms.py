"""The form of a new backtest: what people type, as the plain mapping that `parse_spec` reads, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict

from engine.catalog import Catalog, StrategySpec
from engine.errors import SpecError
from engine.spec import SPEC_FIELDS, ParamSpec
from webapp.language import translated
from webapp.numbers import number_of
from webapp.phrases import OR_NOTHING, refused, said, sentence

# People type percent here; the engine counts in fractions.
PERCENT: Final = frozenset(
    {"costs.fee_rate", "costs.slippage_rate", "exits.stop_loss", "exits.take_profit", "exits.trailing_stop"}
)
TEXT_FIELDS: Final = ("strategy", "timeframe", "start_date", "end_date")
# The strategy whose params the form shows: after a change of strategy without scripts they are another's.
FIELDS_OF: Final = "fields_of"
LONGEST: Final = 100

Values = dict[str, Any]
"""What the form shows, by dotted path: texts, and a list for `symbols`."""


def values_from_form(form: MultiDict[str, str]) -> Values:
    """What was typed, cut to a sane length and without control characters."""
    values: Values = {_clean(path): _clean(form[path]) for path in form if path != "symbols"}
    values["symbols"] = [_clean(symbol) for symbol in form.getlist("symbols")]
    return values


def _clean(text: str) -> str:
    return "".join(character for character in text[:LONGEST] if character.isprintable())


def values_from_spec(spec: Mapping[str, Any]) -> Values:
    """The form filled in from a stored spec."""
    values: Values = {name: str(spec[name]) for name in TEXT_FIELDS}
    values["symbols"] = list(spec["symbols"])
    values[FIELDS_OF] = spec["strategy"]
    for path, param in SPEC_FIELDS.items():
        group, _, name = path.rpartition(".")
        holder = spec.get(group, {}) if group else spec
        values[path] = text_of(path, holder.get(name, param.default))
    for name, value in spec["params"].items():
        if not isinstance(value, bool):
            values[f"params.{name}"] = text_of(f"params.{name}", value)
        elif value:
            values[f"params.{name}"] = "on"
    return values


def default_values(strategy: StrategySpec) -> Values:
    """The form before anything is typed."""
    values: Values = {path: text_of(path, param.default) for path, param in SPEC_FIELDS.items()}
    return {**values, **default_params(strategy), "strategy": strategy.name, "symbols": []}


def default_params(strategy: StrategySpec) -> Values:
    """The params of a strategy at their defaults."""
    values: Values = {FIELDS_OF: strategy.name}
    for param in strategy.params:
        if param.type != "bool":
            values[f"params.{param.name}"] = text_of(f"params.{param.name}", param.default)
        elif param.default:
            values[f"params.{param.name}"] = "on"
    return values


def raw_spec(values: Values, timezone: str, catalog: Catalog) -> dict[str, Any]:
    """The mapping for `parse_spec`. Empty fields are left out; what is no number stays text, to be refused by name."""
    raw: dict[str, Any] = {name: values[name] for name in ("strategy", "timeframe") if values.get(name)}
    raw |= {name: values.get(name, "") for name in ("start_date", "end_date")}
    raw |= {"symbols": values["symbols"], "params": _raw_params(values, catalog), "timezone": timezone}
    for path, param in SPEC_FIELDS.items():
        text = str(values.get(path, "")).strip()
        if path == "timeframe" or not text:
            continue
        group, _, name = path.rpartition(".")
        holder = raw.setdefault(group, {}) if group else raw
        holder[name] = _read(path, param, text)
    return raw


def _raw_params(values: Values, catalog: Catalog) -> dict[str, Any]:
    strategy = catalog.get(values.get("strategy", ""))
    if strategy is None or values.get(FIELDS_OF) != strategy.name:
        return {}
    known = {param.name: param for param in strategy.params}
    raw: dict[str, Any] = {name: f"params.{name}" in values for name, param in known.items() if param.type == "bool"}
    for path, text in values.items():
        name = path.removeprefix("params.")
        if name == path or name in raw or not text.strip():
            continue
        raw[name] = _read(path, known[name], text.strip()) if name in known else text
    return raw


def _read(path: str, param: ParamSpec, text: str) -> object:
    if param.type == "choice":
        return text
    number = number_of(text)
    if number is None:
        return text
    if path in PERCENT:
        number /= 100
    return int(number) if param.type == "int" and number == number.to_integral_value() else float(number)


def text_of(path: str, value: object) -> str:
    """A value as it stands in its field: percent where people type percent, no float noise."""
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if path in PERCENT:
            return f"{value * 100:.10g}"
        return f"{Decimal(f'{value:.12g}'):{',f' if path == 'initial_cash' else 'f'}}"
    return str(value)


def message_for(error: SpecError, values: Values, catalog: Catalog) -> str:
    """The sentence beside the field, in the words of the form: what it was, what is allowed."""
    if error.field == "symbols" and not error.was:
        return _("Choose at least one symbol.")
    if error.sentence:
        return _by_labels(error, values, catalog) or sentence(error.sentence)
    typed = values.get(error.field)
    was = error.was if typed is None or isinstance(typed, list) else typed
    allowed = _percent_range(error.field) if error.field in PERCENT else error.allowed
    if was in (None, "", []):
        return _("Is missing; allowed: %(allowed)s.", allowed=said(allowed))
    return refused(str(was)[:LONGEST], allowed)


def _by_labels(error: SpecError, values: Values, catalog: Catalog) -> str | None:
    """A rule between two params by the labels that stand beside their fields; None for any other sentence."""
    rule = re.fullmatch(r"\w+ \(\S+\) must be less than (\w+) \(\S+\)", error.sentence or "")
    strategy = catalog.get(values.get("strategy", ""))
    limits = {param.name: param for param in strategy.params} if rule and strategy else {}
    if rule is None or rule[1] not in limits:
        return None
    path = f"params.{rule[1]}"
    limit = values.get(path) or text_of(path, limits[rule[1]].default)
    label = translated(limits[rule[1]].label).partition(" (")[0]
    was = values.get(error.field) or text_of(error.field, error.was)
    return _("Was %(was)s; allowed: less than %(limit)s (%(label)s).", was=was, limit=limit, label=label)


def _percent_range(path: str) -> str:
    param = SPEC_FIELDS[path]
    low, high = (f"{(limit or 0) * 100:g}%" for limit in (param.minimum, param.maximum))
    words = f"above {low} and up to {high}" if param.exclusive_minimum else f"{low} to {high}"
    return f"{words}{OR_NOTHING}" if param.default is None else words
