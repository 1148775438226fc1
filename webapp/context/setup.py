"""The setup tab: the whole spec, the data, the versions and the times of a backtest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from flask_babel import gettext as _
from flask_babel import ngettext

from engine.catalog import Catalog
from engine.metric_table import METRICS, MetricSpec
from engine.spec import SPEC_FIELDS
from storage_core.backtests import MAX_ATTEMPTS
from storage_core.models import Backtest
from webapp.columns import SIGNED, SIGNED_ONLY, SOURCE_WORDS
from webapp.context.form import CHOICE_WORDS
from webapp.context.result import instant
from webapp.context.rows import value_words
from webapp.filters import (
    MISSING,
    count,
    currency,
    duration,
    file_size,
    is_missing,
    moment,
    money,
    number,
    percent,
    price,
    rate,
    signed_percent,
)
from webapp.forms import PERCENT
from webapp.language import translated
from webapp.phrases import said

Facts = Sequence[tuple[str, str]]


class Setup(TypedDict):
    """What the setup tab shows."""

    params: Facts
    rules: Facts
    data: Sequence[Mapping[str, Any]]
    origin: Facts
    metrics: Sequence[tuple[str, str, str]]
    spec_json: str


def ctx_setup(backtest: Backtest, zone: str, catalog: Catalog) -> Setup:
    """Everything that makes the backtest repeatable."""
    facts: Mapping[str, Any] = backtest.metadata_ or {}
    data = facts.get("data") or {}
    return {
        "params": _params(backtest, catalog),
        "rules": _rules(backtest.spec),
        "data": [_bars(symbol, entry, zone) for symbol, entry in data.items()],
        "origin": _origin(backtest, facts),
        "metrics": [
            _metric(metric, facts.get("metrics", {}), zone=zone, unit=currency(backtest.symbols))
            for metric in METRICS.values()
        ],
        "spec_json": json.dumps(backtest.spec, indent=2, ensure_ascii=False),
    }


def _bars(symbol: str, entry: Mapping[str, Any], zone: str) -> dict[str, Any]:
    first, last = (moment(instant(entry[end]), zone) if entry.get(end) else MISSING for end in ("first", "last"))
    return {**entry, "symbol": symbol, "first": first, "last": last}


def _params(backtest: Backtest, catalog: Catalog) -> Facts:
    known = catalog.get(backtest.strategy)
    labels = {param.name: translated(param.label) for param in known.params} if known else {}
    return [(labels.get(name, name), value_words(value)) for name, value in backtest.params.items()]


def _rules(spec: Mapping[str, Any]) -> Facts:
    rules = [
        (_("First day"), spec["start_date"]),
        (_("Last day"), spec["end_date"]),
        (_("Time zone"), spec.get("timezone", MISSING)),
    ]
    for path, field in SPEC_FIELDS.items():
        group, _dot, name = path.rpartition(".")
        value = (spec.get(group, {}) if group else spec).get(name)
        rules.append((translated(field.label), _rule_words(path, value)))
    return rules


def _rule_words(path: str, value: Any) -> str:
    if value is None:
        return MISSING
    if path in PERCENT:
        return rate(value)
    return price(value) if path == "initial_cash" else str(CHOICE_WORDS.get(str(value), value_words(value)))


def _origin(backtest: Backtest, facts: Mapping[str, Any]) -> Facts:
    seconds = " · ".join(f"{said(name)} {duration(value)}" for name, value in (facts.get("seconds") or {}).items())
    versions = [(name.replace("_", "-"), str(value)) for name, value in (facts.get("versions") or {}).items()]
    return [
        (_("Backtest"), str(backtest.task_id)),
        (_("Submitted by"), str(SOURCE_WORDS.get(backtest.source, backtest.source))),
        (_("Attempt"), _("%(n)s of %(most)s", n=max(backtest.attempt - backtest.excused, 0), most=MAX_ATTEMPTS)),
        *([(_("Time spent"), seconds)] if seconds else []),
        (_("Stored"), _("%(size)s, revision %(n)s", size=file_size(backtest.file_size), n=backtest.revision)),
        *versions,
    ]


def _metric(metric: MetricSpec, stored: Mapping[str, Any], *, zone: str, unit: str) -> tuple[str, str, str]:
    value = stored.get(metric.stored_name)
    return translated(metric.label), _metric_words(metric, value, zone=zone, unit=unit), translated(metric.help)


def _metric_words(metric: MetricSpec, value: Any, *, zone: str, unit: str) -> str:
    if is_missing(value):
        return MISSING
    if metric.unit == "time":
        return moment(instant(value), zone)
    if metric.stored_name in (*SIGNED, *SIGNED_ONLY):
        return signed_percent(value)
    words = {
        "fraction": percent,
        "money": lambda amount: money(amount, unit),
        "count": count,
        "bars": lambda bars: ngettext("%(n)s bar", "%(n)s bars", bars, n=number(bars, 1)),
        "days": lambda days: _("%(days)s days", days=number(days, 1)),
        "seconds": duration,
    }
    return words.get(metric.unit, number)(value)
