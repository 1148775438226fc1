"""Two to ten backtests as the comparison shows them: names, metrics with the best marked, settings that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypedDict
from uuid import UUID

from flask_babel import gettext as _

from engine.catalog import Catalog
from engine.metric_table import METRICS, MetricSpec
from engine.spec import SPEC_FIELDS
from storage_core.models import Backtest
from storage_core.models.backtest import METRIC_COLUMNS
from webapp.columns import SIGNED, SIGNED_ONLY
from webapp.context.form import CHOICE_WORDS
from webapp.context.rows import short_params, short_symbols, value_words
from webapp.filters import (
    MISSING,
    compact,
    count,
    currency,
    day,
    direction,
    duration,
    is_missing,
    number,
    percent,
    price,
    rate,
    signed_percent,
)
from webapp.forms import PERCENT
from webapp.language import translated
from webapp.phrases import strategy_name

LETTERS: Final = "ABCDEFGHIJ"
FIRST_METRICS: Final = ("total_return", "sharpe", "max_drawdown", "trade_count")


class Side(TypedDict):
    """One of the compared: its letter, what it is, and the address of the comparison without it."""

    id: UUID
    letter: str
    place: int
    title: str
    detail: str
    others: str


class Value(TypedDict):
    """One value in a line."""

    text: str
    css: str
    best: bool


class Line(TypedDict):
    """One metric or one setting over all backtests."""

    label: str
    help: str
    values: Sequence[Value]


def ctx_sides(backtests: Sequence[Backtest], catalog: Catalog) -> list[Side]:
    """The columns of every table of the comparison."""
    ids = [str(one.task_id) for one in backtests]
    return [
        {
            "id": one.task_id,
            "letter": LETTERS[place],
            "place": place + 1,
            "title": strategy_name(one.strategy),
            "detail": " · ".join(
                (short_params(catalog, one.strategy, one.params), short_symbols(one.symbols), one.timeframe)
            ),
            "others": ",".join(ids[:place] + ids[place + 1 :]),
        }
        for place, one in enumerate(backtests)
    ]


def ctx_metrics(backtests: Sequence[Backtest]) -> list[Line]:
    """Every metric that at least one of them has; the headline figures first."""
    order = [METRICS[name] for name in FIRST_METRICS]
    order += [metric for name, metric in METRICS.items() if name not in FIRST_METRICS and metric.unit != "time"]
    lines = []
    for metric in order:
        values = [_stored(one, metric.stored_name) for one in backtests]
        if any(value is not None for value in values):
            best = best_of(values, metric.better)
            cells = [_value(metric, value, place in best) for place, value in enumerate(values)]
            lines.append(Line(label=_labelled(metric, backtests), help=translated(metric.help), values=cells))
    return lines


def _labelled(metric: MetricSpec, backtests: Sequence[Backtest]) -> str:
    label = translated(metric.label)
    if metric.unit == "bars":
        bars = _("bars")
        return f"{label}, {bars}"
    units = {currency(one.symbols) for one in backtests}
    return f"{label}, {units.pop()}" if metric.unit == "money" and len(units) == 1 and "" not in units else label


def best_of(values: Sequence[float | None], better: str | None) -> set[int]:
    """Places of the best value: all that tie for it; none when there is nothing to choose between."""
    known = [value for value in values if value is not None]
    if better is None or len(known) < 2 or min(known) == max(known):
        return set()
    best = max(known) if better == "higher" else min(known)
    return {place for place, value in enumerate(values) if value == best}


def _stored(backtest: Backtest, name: str) -> float | None:
    value = (
        getattr(backtest, name) if name in METRIC_COLUMNS else (backtest.metadata_ or {}).get("metrics", {}).get(name)
    )
    return None if is_missing(value) else value


def _value(metric: MetricSpec, value: float | None, best: bool) -> Value:
    signed = metric.stored_name in SIGNED
    return {"text": _metric_text(metric, value, signed), "css": direction(value) if signed else "", "best": best}


def _metric_text(metric: MetricSpec, value: float | None, signed: bool) -> str:
    if value is None:
        return MISSING
    if signed or metric.stored_name in SIGNED_ONLY:
        return signed_percent(value)
    words = {
        "fraction": percent,
        "money": compact,
        "count": count,
        "bars": lambda bars: number(bars, 1),
        "days": lambda days: _("%(count)s days", count=number(days, 1)),
        "seconds": duration,
    }
    return words.get(metric.unit, number)(value)


def ctx_settings(backtests: Sequence[Backtest], catalog: Catalog) -> tuple[list[Line], list[tuple[str, str]]]:
    """What was asked, split: the lines in which they differ, and (label, value) of what they all share."""
    flat = [_flat(one) for one in backtests]
    names = list(dict.fromkeys(name for one in flat for name in one))
    labels = _labels(backtests, catalog)
    differ, shared = [], []
    for name in names:
        values = [_setting_text(name, one[name]) if name in one else MISSING for one in flat]
        label = labels.get(name, name.removeprefix("params."))
        if len({repr(one.get(name)) for one in flat}) > 1:
            cells = [Value(text=text, css="", best=False) for text in values]
            differ.append(Line(label=label, help="", values=cells))
        else:
            shared.append((label, values[0]))
    return differ, shared


def _flat(backtest: Backtest) -> dict[str, Any]:
    """The spec as dotted names; then what it was run with."""
    found: dict[str, Any] = {}
    for name, value in backtest.spec.items():
        if isinstance(value, Mapping):
            found.update({f"{name}.{inner}": one for inner, one in value.items()})
        else:
            found[name] = value
    found["strategy"] = strategy_name(backtest.strategy)
    versions = (backtest.metadata_ or {}).get("versions") or {}
    found["data"] = (backtest.data_fingerprint or "")[:12] or None
    return {**found, "engine": versions.get("engine")}


def _labels(backtests: Sequence[Backtest], catalog: Catalog) -> dict[str, str]:
    labels = {path: translated(field.label) for path, field in SPEC_FIELDS.items()}
    for one in backtests:
        if known := catalog.get(one.strategy):
            labels.update({f"params.{param.name}": translated(param.label) for param in known.params})
    return labels | {
        "strategy": _("Strategy"),
        "symbols": _("Symbols"),
        "timeframe": _("Timeframe"),
        "start_date": _("First day"),
        "end_date": _("Last day"),
        "timezone": _("Time zone"),
        "data": _("Bars"),
        "engine": _("Engine version"),
    }


def _setting_text(name: str, value: Any) -> str:
    if value is None:
        return MISSING
    if isinstance(value, list) and not any(isinstance(one, dict | list) for one in value):
        return ", ".join(map(str, value))
    if name in ("start_date", "end_date"):
        return day(datetime.fromisoformat(value))
    if name in PERCENT:
        return rate(value)
    return price(value) if name == "initial_cash" else str(CHOICE_WORDS.get(str(value), value_words(value)))
