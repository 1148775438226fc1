"""The form of a new backtest, as the templates see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final, TypedDict
from zoneinfo import ZoneInfo

from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext

from engine.catalog import Catalog, StrategySpec
from engine.spec import SPEC_FIELDS, TIMEFRAMES, ParamSpec
from storage_core.bar_store import Coverage
from webapp.filters import count
from webapp.forms import FIELDS_OF, PERCENT, Values, default_params
from webapp.language import translated
from webapp.numbers import number_of
from webapp.ranges import instants

CHOICE_WORDS: Final[Mapping[str, Any]] = {
    "all_in": lazy_gettext("All cash"),
    "fraction": lazy_gettext("Fraction of equity"),
    "fixed_notional": lazy_gettext("Fixed amount of money"),
    "fixed_quantity": lazy_gettext("Fixed quantity"),
    "next_open": lazy_gettext("The next bar's open"),
    "same_close": lazy_gettext("The same bar's close"),
    "long": lazy_gettext("Long"),
    "short": lazy_gettext("Short"),
    "both": lazy_gettext("Long and short"),
    "entry_bar": lazy_gettext("The bar of the entry"),
    "next_bar": lazy_gettext("The bar after"),
}
MONEY_FIELDS: Final = ("initial_cash", "costs.fee_rate", "costs.slippage_rate", "direction")
EXIT_FIELDS: Final = ("exits.stop_loss", "exits.take_profit", "exits.trailing_stop", "exits.hold_bars")
ADVANCED_FIELDS: Final = (
    "sizing.kind", "sizing.value", "sizing.quantity_step", "sizing.price_tick",
    "fill", "exits.stops_from", "annual_days",
)  # fmt: skip


class Field(TypedDict):
    """One input: its name is the dotted path of the spec."""

    path: str
    id: str
    label: str
    help: str
    type: str
    value: str
    error: str
    unit: str
    choices: Sequence[tuple[str, str]]


class Pick(TypedDict):
    """One symbol that can be ticked."""

    symbol: str
    chosen: bool
    first: date
    last: date
    rows: int


class Market(TypedDict):
    """Timeframe, symbols, dates, and how much work that is."""

    timeframes: Sequence[tuple[str, bool]]
    timeframe: str
    picks: Sequence[Pick]
    start: str
    end: str
    suggested_start: str
    suggested_end: str
    candle_size: Field
    estimate: str
    errors: Mapping[str, str]


class Form(TypedDict):
    """The whole form."""

    strategies: Sequence[StrategySpec]
    strategy: StrategySpec | None
    strategy_value: str
    params: Sequence[Field]
    market: Market
    money: Sequence[Field]
    exits: Sequence[Field]
    advanced: Sequence[Field]
    open_exits: bool
    open_advanced: bool
    errors: Mapping[str, str]
    other_errors: Sequence[str]


def ctx_form(
    values: Values, errors: Mapping[str, str], *, inventory: Sequence[Coverage], zone: str, catalog: Catalog
) -> Form:
    """Everything the form shows; `errors` by dotted path."""
    strategy = catalog.get(values.get("strategy", ""))
    groups = {name: _fields(paths, values, errors) for name, paths in _groups().items()}
    params = ctx_params(strategy, values, errors) if strategy else []
    shown = {field["path"] for field in [*params, *groups["money"], *groups["exits"], *groups["advanced"]]}
    shown |= {"strategy", "symbols", "timeframe", "start_date", "end_date", "candle_size"}
    return {
        "strategies": list(catalog.values()),
        "strategy": strategy,
        "strategy_value": values.get("strategy", ""),
        "params": params,
        "market": ctx_market(values, errors, inventory=inventory, zone=zone),
        "money": groups["money"],
        "exits": groups["exits"],
        "advanced": groups["advanced"],
        "open_exits": any(field["value"] or field["error"] for field in groups["exits"]),
        "open_advanced": any(field["error"] or _changed(field) for field in groups["advanced"]),
        "errors": errors,
        "other_errors": [f"{path}: {text}" for path, text in errors.items() if path not in shown],
    }


def field_id(path: str) -> str:
    """The id of the input for a dotted path of the spec."""
    return path.replace(".", "-").replace("_", "-")


def ctx_params(strategy: StrategySpec, values: Values, errors: Mapping[str, str]) -> list[Field]:
    """The fields of a strategy's params; at their defaults when the values belong to another strategy."""
    own = values.get(FIELDS_OF) == strategy.name
    shown = values if own else default_params(strategy)
    return [_field(f"params.{param.name}", param, shown, errors) for param in strategy.params]


def ctx_market(values: Values, errors: Mapping[str, str], *, inventory: Sequence[Coverage], zone: str) -> Market:
    """Symbols of the chosen timeframe, and dates that follow the choice until a person sets them."""
    stored = sorted({one.timeframe for one in inventory}, key=list(TIMEFRAMES).index)
    timeframe = values.get("timeframe") or ""
    if timeframe not in stored and "timeframe" not in errors:
        timeframe = "1h" if "1h" in stored else (stored[0] if stored else "1h")
    offered = [one for one in inventory if one.timeframe == timeframe]
    chosen = [one for one in offered if one.symbol in values["symbols"]]
    start, end = _covered(chosen or offered[:1], zone)
    return {
        "timeframes": [(name, name in stored) for name in TIMEFRAMES],
        "timeframe": timeframe,
        "picks": [_pick(one, one in chosen, zone) for one in offered],
        "start": _follow(values, "start", start),
        "end": _follow(values, "end", end),
        "suggested_start": start,
        "suggested_end": end,
        "candle_size": _field("candle_size", SPEC_FIELDS["candle_size"], values, errors),
        "estimate": estimate(chosen, _follow(values, "start", start), _follow(values, "end", end), values, zone),
        "errors": errors,
    }


def estimate(chosen: Sequence[Coverage], start: str, end: str, values: Values, zone: str) -> str:
    """How many bars the backtest will read, in words."""
    try:
        first, last = instants(date.fromisoformat(start), date.fromisoformat(end), zone)
    except ValueError:
        return _("Choose both dates to see how many bars that is.")
    if not chosen:
        return _("Choose at least one symbol.")
    limit = number_of(values.get("candle_size", ""))
    bars = [_bars_between(one, first.timestamp(), last.timestamp()) for one in chosen]
    if limit is not None and limit >= 0 and limit == limit.to_integral_value():
        bars = [min(found, int(limit)) for found in bars]
    if not all(bars):
        empty = ", ".join(one.symbol for one, found in zip(chosen, bars, strict=True) if not found)
        return _("No bars in this range for %(symbols)s.", symbols=empty)
    size = ngettext(
        "About %(bars)s bars of %(num)s symbol.", "About %(bars)s bars of %(num)s symbols.", len(chosen),
        bars=count(sum(bars)),
    )  # fmt: skip
    quotes = sorted({one.symbol.partition("-")[0] for one in chosen})
    if len(quotes) == 1:
        return size
    mixed = _("Careful: the whole adds up %(quotes)s as if they were one currency.", quotes=", ".join(quotes))
    return f"{size} {mixed}"


def _bars_between(coverage: Coverage, start: float, end: float) -> int:
    seconds = TIMEFRAMES[coverage.timeframe]
    low, high = max(start, coverage.first.timestamp()), min(end, coverage.last.timestamp() + seconds)
    return max(0, min(coverage.rows, int((high - low) // seconds)))


def _covered(coverages: Sequence[Coverage], zone: str) -> tuple[str, str]:
    """The days that all of the given symbols cover."""
    if not coverages:
        return "", ""
    place = ZoneInfo(zone)
    start = max(one.first for one in coverages).astimezone(place).date()
    end = min(one.last for one in coverages).astimezone(place).date()
    return start.isoformat(), end.isoformat()


def _follow(values: Values, name: str, suggestion: str) -> str:
    """What a person typed stays; what was only suggested follows the new suggestion."""
    typed: str = values.get(f"{name}_date", "")
    return suggestion if not typed or typed == values.get(f"suggested_{name}") else typed


def _pick(coverage: Coverage, chosen: bool, zone: str) -> Pick:
    place = ZoneInfo(zone)
    return {
        "symbol": coverage.symbol,
        "chosen": chosen,
        "first": coverage.first.astimezone(place).date(),
        "last": coverage.last.astimezone(place).date(),
        "rows": coverage.rows,
    }


def _groups() -> Mapping[str, Sequence[str]]:
    return {"money": MONEY_FIELDS, "exits": EXIT_FIELDS, "advanced": ADVANCED_FIELDS}


def _fields(paths: Iterable[str], values: Values, errors: Mapping[str, str]) -> list[Field]:
    return [_field(path, SPEC_FIELDS[path], values, errors) for path in paths]


def _field(path: str, param: ParamSpec, values: Values, errors: Mapping[str, str]) -> Field:
    return {
        "path": path,
        "id": field_id(path),
        "label": translated(param.label),
        # People type percent where the engine counts in fractions; translations say "this share" of either.
        "help": translated(param.help).replace("as a fraction", "in percent" if path in PERCENT else "as a fraction"),
        "type": param.type,
        "value": values.get(path, ""),
        "error": errors.get(path, ""),
        "unit": "%" if path in PERCENT else "",
        "choices": [(choice, str(CHOICE_WORDS.get(choice, choice))) for choice in param.choices],
    }


def _changed(field: Field) -> bool:
    default = SPEC_FIELDS[field["path"]].default
    return field["value"] not in ("", str(default))
