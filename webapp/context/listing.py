"""The list of backtests around its rows: headers that sort, filters as menus, what is chosen in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypedDict

from flask_babel import gettext as _
from flask_babel import lazy_gettext

from engine.spec import TIMEFRAMES
from storage_core.backtest_list import SORTS
from storage_core.models import STATUSES
from storage_core.models.backtest import METRIC_COLUMNS, SOURCES
from webapp.columns import COLUMNS, SHORT, SOURCE_WORDS, STATE, STRATEGY, Column, chosen
from webapp.list_query import RECENT, Asked
from webapp.numbers import grouped
from webapp.phrases import said, strategy_name

SHOWN: Final = 2
ORDER_WORDS: Final[Mapping[str, Any]] = {
    "strategy": lazy_gettext("strategy"),
    "timeframe": lazy_gettext("timeframe"),
    "status": lazy_gettext("state"),
    "source": lazy_gettext("source"),
    "symbols": lazy_gettext("symbols"),
    "note": lazy_gettext("note"),
    "owner_id": lazy_gettext("owner"),
    "start_date": lazy_gettext("start of the period"),
    "end_date": lazy_gettext("end of the period"),
}
"""What the list is ordered by besides metrics and the time of submission."""
PERIODS: Final[Mapping[str, Any]] = {
    "1d": lazy_gettext("last day"),
    "7d": lazy_gettext("last 7 days"),
    "30d": lazy_gettext("last 30 days"),
    "90d": lazy_gettext("last 90 days"),
    "365d": lazy_gettext("last year"),
}
MORE: Final = ("tag", "pinned", "shared", "source", "owner", "period_from", "period_to")


class Head(TypedDict):
    """One column header; when it is `sortable`, `query` sorts by it."""

    name: str
    label: str
    css: str
    help: str
    order: str
    sortable: bool
    query: str


class Choice(TypedDict):
    """One value that can be ticked."""

    value: str
    label: str
    chosen: bool


class Bound(TypedDict):
    """The lowest and highest value of a metric, as typed."""

    name: str
    label: str
    unit: str
    low: str
    high: str
    low_error: str
    high_error: str


class Menu(TypedDict):
    """One filter in the bar: what it says closed, and whether something in it is wrong."""

    name: str
    label: str
    says: str
    wrong: bool
    clear: str


@dataclass(frozen=True)
class Known:
    """What there is to choose from."""

    strategies: Iterable[str]
    symbols: Iterable[str]
    owners: Iterable[str]


def ctx_heads(asked: Asked) -> list[Head]:
    """The headers in the order of the table."""
    before, results, after = chosen(asked.columns)
    return [_head(column, asked) for column in (STRATEGY, *before, *(results or (STATE,)), *after)]


def ctx_plain_heads(columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The headers of these columns, for pages that show a few rows in a given order."""
    before, results, after = chosen(columns)
    return [{"label": str(column.label), "css": column.css} for column in (*before, *results, *after)]


def _head(column: Column, asked: Asked) -> Head:
    falling, rising = f"-{column.sort}", column.sort
    order, query = "", ""
    if rising in SORTS:
        order = {falling: "descending", rising: "ascending"}.get(asked.sort, "")
        first, second = (falling, rising) if column.falling else (rising, falling)
        query = asked.query(sort=second if asked.sort == first else first)
    return {
        "name": column.name,
        "label": str(column.label),
        "css": column.css,
        "help": str(column.help),
        "order": order,
        "sortable": rising in SORTS,
        "query": query,
    }


def ctx_filters(asked: Asked, known: Known) -> dict[str, Any]:
    """Everything that the bar of filters shows."""
    fields = asked.fields
    picked = fields.get("strategy", ())
    named = {name: strategy_name(name) for name in (*known.strategies, *picked)}
    return {
        "menus": {menu["name"]: menu for menu in _menus(asked)},
        "text": fields.get("text", ("",))[0],
        "choices": {
            "strategy": _choices(picked, named, named),
            "symbol": _choices(fields.get("symbol", ()), known.symbols),
            "timeframe": _choices(fields.get("timeframe", ()), TIMEFRAMES),
            "status": _choices(fields.get("status", ()), STATUSES, {name: said(name) for name in STATUSES}),
            "source": _choices(fields.get("source", ()), SOURCES, SOURCE_WORDS),
        },
        "recent": [(name, str(PERIODS[name])) for name in RECENT],
        "bounds": [_bound(name, asked) for name in METRIC_COLUMNS],
        "owners": list(known.owners),
        "one": {name: fields.get(name, ("",))[0] for name in (*MORE, "submitted", "submitted_from", "submitted_to")},
        "tags": ", ".join(fields.get("tag", ())),
        "errors": asked.errors,
    }


def _menus(asked: Asked) -> list[Menu]:
    fields = asked.fields
    submitted = ("submitted", "submitted_from", "submitted_to")
    bounds = [f"{name}_{end}" for name in METRIC_COLUMNS for end in ("min", "max")]
    picked = [strategy_name(one) for one in fields.get("strategy", ())]
    return [
        _menu(asked, "strategy", _("Strategy"), ["strategy"], _few(picked)),
        _menu(asked, "symbol", _("Symbol"), ["symbol"], _few(fields.get("symbol", ()))),
        _menu(asked, "timeframe", _("Timeframe"), ["timeframe"], _few(fields.get("timeframe", ()))),
        _menu(asked, "status", _("State"), ["status"], _few([said(one) for one in fields.get("status", ())])),
        _menu(asked, "submitted", _("Submitted"), submitted, _submitted_words(fields)),
        _menu(asked, "metrics", _("Metrics"), bounds, _few(_bound_words(fields))),
        _menu(asked, "more", _("More"), MORE, _few(_more_words(fields))),
    ]


def _menu(asked: Asked, name: str, label: str, fields: Sequence[str], says: str) -> Menu:
    held = [field for field in fields if field in asked.fields]
    wrong = any(field in asked.errors for field in fields)
    return {"name": name, "label": label, "says": says, "wrong": wrong, "clear": asked.query(without=held)}


def _few(values: Sequence[str]) -> str:
    more = len(values) - SHOWN
    return ", ".join(values[:SHOWN]) + (f" +{more}" if more > 0 else "")


def _submitted_words(fields: Mapping[str, tuple[str, ...]]) -> str:
    recent = fields.get("submitted", ("",))[0]
    first, last = (fields.get(f"submitted_{end}", ("",))[0] for end in ("from", "to"))
    days = f"{first} – {last}".strip(" –") if first and last else (_from(first) if first else _to(last))
    return ", ".join(filter(None, (str(PERIODS.get(recent, recent)), days)))


def _from(first: str) -> str:
    return _("from %(day)s", day=first)


def _to(last: str) -> str:
    return _("to %(day)s", day=last) if last else ""


def _bound_words(fields: Mapping[str, tuple[str, ...]]) -> list[str]:
    words = []
    for name in METRIC_COLUMNS:
        low, high = (grouped(fields.get(f"{name}_{end}", ("",))[0]) for end in ("min", "max"))
        if low and high:
            words.append(f"{SHORT[name]} {low} … {high}")
        elif low or high:
            words.append(f"{SHORT[name]} {'≥' if low else '≤'} {low or high}")
    return words


def _more_words(fields: Mapping[str, tuple[str, ...]]) -> list[str]:
    words = [f"#{tag}" for tag in fields.get("tag", ())]
    flags = {
        "pinned": {"true": _("pinned"), "false": _("not pinned")},
        "shared": {"true": _("shared"), "false": _("not shared")},
    }
    words += [both.get(fields[name][0], fields[name][0]) for name, both in flags.items() if name in fields]
    words += [str(SOURCE_WORDS.get(source, source)) for source in fields.get("source", ())]
    words += [_("by %(name)s", name=name) for name in fields.get("owner", ())]
    words += [_("tested from %(day)s", day=day) for day in fields.get("period_from", ())]
    return words + [_("tested to %(day)s", day=day) for day in fields.get("period_to", ())]


def _choices(picked: Sequence[str], values: Iterable[str], words: Mapping[str, Any] | None = None) -> list[Choice]:
    """What there is, and what was asked for although there is none of it."""
    every = list(dict.fromkeys((*values, *picked)))
    labels = {value: str((words or {}).get(value, value)) for value in every}
    return [{"value": value, "label": labels[value], "chosen": value in picked} for value in every]


def _bound(name: str, asked: Asked) -> Bound:
    low, high = f"{name}_min", f"{name}_max"
    return {
        "name": name,
        "label": str(SHORT[name]),
        "unit": "%" if name.endswith("_pct") else "",
        "low": grouped(asked.fields.get(low, ("",))[0]),
        "high": grouped(asked.fields.get(high, ("",))[0]),
        "low_error": asked.errors.get(low, ""),
        "high_error": asked.errors.get(high, ""),
    }


def ctx_columns(asked: Asked) -> list[Choice]:
    """Every column, for the menu that chooses them."""
    return [
        {"value": name, "label": _long_label(column), "chosen": name in asked.columns}
        for name, column in COLUMNS.items()
    ]


def _long_label(column: Column) -> str:
    return str(column.help).partition(":")[0] if column.result and column.help else str(column.label)


def ctx_order(asked: Asked) -> str:
    """The order in words: newest first, Sharpe highest first."""
    name, falling = asked.sort.removeprefix("-"), asked.sort.startswith("-")
    if name == "created_at":
        return _("newest first") if falling else _("oldest first")
    if name in SHORT:
        label = str(SHORT[name])
        return _("%(metric)s highest first", metric=label) if falling else _("%(metric)s lowest first", metric=label)
    label = str(ORDER_WORDS[name])
    if name.endswith("_date"):
        return _("%(day)s latest first", day=label) if falling else _("%(day)s earliest first", day=label)
    return _("by %(column)s, Z to A", column=label) if falling else _("by %(column)s, A to Z", column=label)
