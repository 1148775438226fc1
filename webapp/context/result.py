"""The figures of a result: the strip, whether to trust it, what was assumed, how the months went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypedDict

from flask_babel import gettext as _
from flask_babel import ngettext

from engine.metric_table import METRICS
from storage_core import strategy_lines
from storage_core.backtest_keeping import ACTIVE_SYMBOLS, active_symbols
from storage_core.models import Backtest
from storage_core.models.backtest import METRIC_COLUMNS
from webapp.filters import (
    MISSING,
    compact,
    count,
    day,
    duration,
    month_name,
    number,
    percent,
    price,
    rate,
    signed_percent,
)
from webapp.language import translated
from webapp.phrases import sentence

HEAT_STEPS: Final = (1.0, 3.0, 8.0)


class Figure(TypedDict):
    """One cell of the strip."""

    label: str
    help: str
    value: str
    way: str
    note: str


ROOM: Final = timedelta(days=7)
"""Bars may begin so long after the period does, and end so long before it ends, without a word: weekends, feasts."""


class Check(TypedDict):
    """One line of "Can I trust it?"."""

    mark: str
    title: str
    note: str


class Month(TypedDict):
    """One cell of the monthly returns."""

    text: str
    heat: str


class Year(TypedDict):
    """One line of the monthly returns."""

    year: int
    months: Sequence[Month]
    total: str


Metrics = Mapping[str, Any]


def figures(backtest: Backtest) -> Metrics:
    """The metrics by stored name: of the symbols that count, else as they were computed."""
    facts: Mapping[str, Any] = backtest.metadata_ or {}
    if chosen := facts.get(ACTIVE_SYMBOLS):
        return dict(chosen["metrics"])
    return {**facts.get("metrics", {}), **{name: getattr(backtest, name) for name in METRIC_COLUMNS}}


def ctx_strip(backtest: Backtest, quote: str) -> list[Figure]:
    """The eight figures that matter first."""
    metrics = figures(backtest)
    year = _("%(days)s days a year", days=backtest.spec.get("annual_days", 365))
    cash = backtest.spec.get("initial_cash")  # legacy results have none
    start = compact(cash * len(active_symbols(backtest))) if cash else ""
    origin = _("%(quote)s from %(cash)s", quote=quote, cash=start).strip() if cash else _("cash not recorded")
    trades = metrics.get("trade_count") or 0
    no_trades = _("no closed trade") if not trades else ""
    said = ngettext("%(n)s trade", "%(n)s trades", trades, n=count(trades))
    costs = (metrics.get("fees") or 0) + (metrics.get("slippage") or 0)
    held = _("buy and hold %(value)s", value=signed_percent(metrics.get("buy_and_hold_return_pct")))
    total = metrics.get("total_return_pct")
    return [
        _figure("total_return", signed_percent(total), held, total),
        _figure("final_equity", compact(metrics.get("final_equity")), origin),
        _figure("sharpe", number(metrics.get("sharpe")), year),
        _figure("sortino", number(metrics.get("sortino")), year),
        _figure("max_drawdown", percent(metrics.get("max_drawdown_pct")), _days(metrics.get("max_drawdown_days"))),
        _figure("win_rate", percent(metrics.get("win_rate_pct"), 1), no_trades or said),
        _figure("profit_factor", number(metrics.get("profit_factor")),
                no_trades or _("payoff %(value)s", value=number(metrics.get("payoff_ratio")))),
        _figure("time_in_market", percent(metrics.get("time_in_market_pct"), 1),
                _("costs %(value)s", value=compact(costs))),
    ]  # fmt: skip


def _figure(name: str, value: str, note: str, way: float | None = None) -> Figure:
    metric = METRICS[name]
    sign = "" if way is None or abs(way) < 0.005 else ("gain" if way > 0 else "loss")
    return {
        "label": translated(metric.label),
        "help": translated(metric.help),
        "value": value,
        "way": sign,
        "note": note,
    }


def _days(value: float | None) -> str:
    if value is None:
        return _("never below a peak")
    return _("longest %(days)s days", days=number(value, 0 if value >= 10 else 1))


def ctx_checks(backtest: Backtest) -> list[Check]:
    """Lookahead, ambiguous bars, gaps, orders that did not fill, and what makes the result reproducible."""
    facts: Mapping[str, Any] = backtest.metadata_ or {}
    checks = [_lookahead(facts.get("lookahead")), _ambiguous(facts.get("ambiguous"), facts.get("bars"))]
    checks.append(_gaps(facts.get("data_quality")))
    checks += _partly_covered(backtest, facts.get("data") or {})
    if unfilled := facts.get("unfilled_orders"):
        title = ngettext("%(n)s order could not fill", "%(n)s orders could not fill", unfilled, n=count(unfilled))
        checks.append({"mark": "warn", "title": title, "note": _("too small for the quantity step, or no cash left")})
    if problem := strategy_lines.problem(facts):
        checks.append({"mark": "warn", "title": _("Lines of the strategy not drawn"), "note": sentence(problem)})
    return [*checks, _reproducible(facts)]


def _lookahead(found: Mapping[str, Any] | None) -> Check:
    if not found:
        note = _("this result was stored without the check")
        return {"mark": "warn", "title": _("Lookahead not checked"), "note": note}
    if found["ok"]:
        note = _("%(n)s prefixes recomputed, signals identical", n=count(found["prefixes"]))
        return {"mark": "ok", "title": _("No lookahead"), "note": note}
    at = count(found.get("first_bar"))
    note = _("signals change when later bars are cut off, first at bar %(at)s", at=at)
    return {"mark": "bad", "title": _("Looks into the future"), "note": note}


def _ambiguous(found: Mapping[str, Any] | None, bars: int | None) -> Check:
    if not found or not found.get("bars"):
        note = _("0 ambiguous bars of %(all)s", all=count(bars)) if bars else _("0 ambiguous bars")
        return {"mark": "ok", "title": _("Same-bar stop and target: none"), "note": note}
    low, high = signed_percent(found.get("worst_return_pct")), signed_percent(found.get("best_return_pct"))
    bars = found["bars"]
    title = ngettext(
        "%(n)s bar holds both stop and target", "%(n)s bars hold both stop and target", bars, n=count(bars)
    )
    note = _("the stop was taken; return %(low)s to %(high)s whichever came first", low=low, high=high)
    return {"mark": "warn", "title": title, "note": note}


def _gaps(found: Mapping[str, Any] | None) -> Check:
    if found is None:
        note = _("this result was stored without the check")
        return {"mark": "warn", "title": _("Data gaps not counted"), "note": note}
    missing = found.get("missing_bars") or 0
    if not missing:
        note = _("every bar between first and last is there")
        return {"mark": "ok", "title": _("No bars missing"), "note": note}
    title = ngettext("%(n)s bar missing in the data", "%(n)s bars missing in the data", missing, n=count(missing))
    at = found.get("largest_gap_at")
    note = _("largest gap %(time)s", time=duration(found.get("largest_gap_seconds")))
    return {"mark": "warn", "title": title, "note": note + (f", {day(instant(at))}" if at else "")}


def _partly_covered(backtest: Backtest, data: Mapping[str, Any]) -> list[Check]:
    """A line for each symbol whose bars begin or end well inside the period: it was traded for a part of it only."""
    if backtest.spec.get("candle_size"):
        return []  # the newest bars were asked for, wherever they begin
    checks: list[Check] = []
    for symbol, found in data.items():
        if not (found.get("first") and found.get("last")):
            continue
        first, last = instant(found["first"]), instant(found["last"])
        if first.date() - backtest.start_date > ROOM or backtest.end_date - last.date() > ROOM:
            title = _("%(symbol)s: bars for a part of the period", symbol=symbol)
            note = _("%(first)s – %(last)s of %(start)s – %(end)s", first=day(first), last=day(last),
                     start=day(backtest.start_date), end=day(backtest.end_date))  # fmt: skip
            checks.append({"mark": "warn", "title": title, "note": note})
    return checks


def instant(value: str | float) -> datetime:
    """A stored time: ISO text, or microseconds since 1970."""
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    return datetime.fromtimestamp(value / 1_000_000, UTC)


def _reproducible(facts: Mapping[str, Any]) -> Check:
    versions = facts.get("versions") or {}
    digests = [entry.get("sha256", "")[:8] for entry in (facts.get("data") or {}).values()]
    if not digests or not versions:
        note = _("versions or data hashes are missing")
        return {"mark": "warn", "title": _("Origin not recorded"), "note": note}
    one, several = _("data %(digest)s…", digest=digests[0]), _("data of %(n)s symbols", n=len(digests))
    shown = one if len(digests) == 1 else several
    note = _("%(data)s · engine %(engine)s · numba %(numba)s", data=shown, engine=versions.get("engine", MISSING),
             numba=versions.get("numba", MISSING))  # fmt: skip
    return {"mark": "ok", "title": _("Reproducible"), "note": note}


def ctx_assumptions(backtest: Backtest, quote: str) -> list[tuple[str, str]]:
    """The rules behind the figures, in words."""
    spec, metrics = backtest.spec, figures(backtest)
    if "costs" not in spec:
        return [
            (_("Run by"), _("the legacy system")),
            (_("Fill, costs, size"), _("not recorded")),
            (_("Bars and code"), _("not recorded")),
        ]
    paid = (metrics.get("fees") or 0) + (metrics.get("slippage") or 0)
    facts = [*_rules(spec), (_("Cash a symbol"), f"{price(spec['initial_cash'])} {quote}".strip())]
    facts += [
        (_("One year"), _("%(days)s days", days=spec.get("annual_days", 365))),
        (_("Time zone"), str(spec.get("timezone", MISSING))),
        (_("Data"), _data_words(backtest.metadata_ or {})),
        (_("Costs paid"), f"{compact(paid)} {quote}".strip()),
    ]
    if metrics.get("break_even_cost_pct") is not None:
        facts.append((_("Breaks even at"), _("%(rate)s a side", rate=percent(metrics["break_even_cost_pct"]))))
    return facts


def _rules(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How orders become fills, and fills trades."""
    costs, exits = spec["costs"], spec["exits"]
    directions = {"both": _("long and short"), "long": _("long"), "short": _("short")}
    facts = [
        (_("Fill"), _("next bar's open") if spec["fill"] == "next_open" else _("same bar's close")),
        (_("Fee"), _("%(rate)s a side", rate=rate(costs["fee_rate"]))),
        (_("Slippage"), _("%(rate)s a side", rate=rate(costs["slippage_rate"]))),
        (_("Size"), _size(spec["sizing"])),
        (_("Stop / target"), f"{_rate_or_none(exits['stop_loss'])} / {_rate_or_none(exits['take_profit'])}"),
    ]
    if exits["trailing_stop"] is not None:
        facts.append((_("Trailing stop"), rate(exits["trailing_stop"])))
    if exits["hold_bars"] is not None:
        held = exits["hold_bars"]
        facts.append((_("Held at most"), ngettext("%(n)s bar", "%(n)s bars", held, n=count(held))))
    if exits["stops_from"] == "next_bar":
        facts.append((_("Stops live from"), _("the bar after entry")))
    return [*facts, (_("Direction"), directions.get(spec["direction"], spec["direction"]))]


def _data_words(facts: Mapping[str, Any]) -> str:
    digests = [entry.get("sha256", "")[:8] for entry in (facts.get("data") or {}).values()]
    return ", ".join(f"{digest}…" for digest in digests[:2]) + (f" +{len(digests) - 2}" if len(digests) > 2 else "")


def _size(sizing: Mapping[str, Any]) -> str:
    value = sizing.get("value")
    if sizing["kind"] == "fraction":
        return _("%(rate)s of equity", rate=rate(value))
    if sizing["kind"] == "all_in":
        return _("all in")
    if sizing["kind"] == "fixed_notional":
        return _("%(value)s money a trade", value=price(value))
    return _("%(value)s units a trade", value=price(value))


def _rate_or_none(value: float | None) -> str:
    return _("none") if value is None else rate(value)


def month_names() -> list[str]:
    """The heads of the monthly returns."""
    return [month_name(number_) for number_ in range(1, 13)]


def ctx_months(returns: Sequence[tuple[int, int, float]]) -> list[Year]:
    """Monthly returns by year; the year's total compounds its months."""
    years: dict[int, dict[int, float]] = {}
    for year, month, value in returns:
        years.setdefault(year, {})[month] = value
    return [
        {"year": year, "months": [_month(months.get(number)) for number in range(1, 13)], "total": _compound(months)}
        for year, months in years.items()
    ]


def _month(value: float | None) -> Month:
    if value is None:
        return {"text": "·", "heat": ""}
    if abs(value) < 0.05:
        return {"text": "0.0", "heat": ""}
    step = 1 + sum(abs(value) >= limit for limit in HEAT_STEPS)
    return {"text": f"{value:+.1f}", "heat": f"heat-{'p' if value > 0 else 'n'}{step}"}


def _compound(months: Mapping[int, float]) -> str:
    total = 1.0
    for value in months.values():
        total *= 1 + value / 100
    return signed_percent((total - 1) * 100, 1)
