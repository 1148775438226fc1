"""The figures of a result: the strip, whether to trust it, what was assumed, how the months went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypedDict

from engine.metrics import METRICS
from storage_core.models import Backtest
from webapp.filters import MISSING, compact, count, day, duration, number, percent, price, rate, signed_percent

MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
HEAT_STEPS: Final = (1.0, 3.0, 8.0)


class Figure(TypedDict):
    """One cell of the strip."""

    label: str
    help: str
    value: str
    way: str
    note: str


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


def ctx_strip(backtest: Backtest, quote: str) -> list[Figure]:
    """The eight figures that matter first."""
    metrics: Metrics = (backtest.metadata_ or {}).get("metrics", {})
    year = f"{backtest.spec.get('annual_days', 365)} days a year"
    cash = backtest.spec.get("initial_cash")  # legacy results have none
    origin = f"{quote} from {compact(cash * len(backtest.symbols))}".strip() if cash else "cash not recorded"
    trades = backtest.trade_count or 0
    no_trades = "no closed trade" if not trades else ""
    costs = (metrics.get("fees") or 0) + (metrics.get("slippage") or 0)
    return [
        _figure("total_return", signed_percent(backtest.total_return_pct),
                f"buy and hold {signed_percent(backtest.buy_and_hold_return_pct)}", backtest.total_return_pct),
        _figure("final_equity", compact(backtest.final_equity), origin),
        _figure("sharpe", number(backtest.sharpe), year),
        _figure("sortino", number(backtest.sortino), year),
        _figure("max_drawdown", percent(backtest.max_drawdown_pct), _days(metrics.get("max_drawdown_days"))),
        _figure("win_rate", percent(backtest.win_rate_pct, 1), f"{count(trades)} trades" if trades else no_trades),
        _figure("profit_factor", number(backtest.profit_factor),
                no_trades or f"payoff {number(metrics.get('payoff_ratio'))}"),
        _figure("time_in_market", percent(metrics.get("time_in_market_pct"), 1), f"costs {compact(costs)}"),
    ]  # fmt: skip


def _figure(name: str, value: str, note: str, way: float | None = None) -> Figure:
    metric = METRICS[name]
    sign = "" if way is None or abs(way) < 0.005 else ("gain" if way > 0 else "loss")
    return {"label": metric.label, "help": metric.help, "value": value, "way": sign, "note": note}


def _days(value: float | None) -> str:
    if value is None:
        return "never below a peak"
    return f"longest {number(value, 0 if value >= 10 else 1)} days"


def ctx_checks(backtest: Backtest) -> list[Check]:
    """Lookahead, ambiguous bars, gaps, orders that did not fill, and what makes the result reproducible."""
    facts: Mapping[str, Any] = backtest.metadata_ or {}
    checks = [_lookahead(facts.get("lookahead")), _ambiguous(facts.get("ambiguous"), facts.get("bars"))]
    checks.append(_gaps(facts.get("data_quality")))
    if unfilled := facts.get("unfilled_orders"):
        title = f"{count(unfilled)} {'order' if unfilled == 1 else 'orders'} could not fill"
        checks.append({"mark": "warn", "title": title, "note": "too small for the quantity step, or no cash left"})
    return [*checks, _reproducible(facts)]


def _lookahead(found: Mapping[str, Any] | None) -> Check:
    if not found:
        return {"mark": "warn", "title": "Lookahead not checked", "note": "this result was stored without the check"}
    if found["ok"]:
        note = f"{count(found['prefixes'])} prefixes recomputed, signals identical"
        return {"mark": "ok", "title": "No lookahead", "note": note}
    note = f"signals change when later bars are cut off, first at bar {count(found.get('first_bar'))}"
    return {"mark": "bad", "title": "Looks into the future", "note": note}


def _ambiguous(found: Mapping[str, Any] | None, bars: int | None) -> Check:
    if not found or not found.get("bars"):
        of = f" of {count(bars)}" if bars else ""
        return {"mark": "ok", "title": "Same-bar stop and target: none", "note": f"0 ambiguous bars{of}"}
    low, high = signed_percent(found.get("worst_return_pct")), signed_percent(found.get("best_return_pct"))
    title = f"{count(found['bars'])} bars hold both stop and target"
    return {"mark": "warn", "title": title, "note": f"the stop was taken; return {low} to {high} whichever came first"}


def _gaps(found: Mapping[str, Any] | None) -> Check:
    if found is None:
        return {"mark": "warn", "title": "Data gaps not counted", "note": "this result was stored without the check"}
    missing = found.get("missing_bars") or 0
    if not missing:
        return {"mark": "ok", "title": "No bars missing", "note": "every bar between first and last is there"}
    title = f"{count(missing)} {'bar' if missing == 1 else 'bars'} missing in the data"
    at = found.get("largest_gap_at")
    note = f"largest gap {duration(found.get('largest_gap_seconds'))}" + (f", {day(instant(at))}" if at else "")
    return {"mark": "warn", "title": title, "note": note}


def instant(value: str | float) -> datetime:
    """A stored time: ISO text, or microseconds since 1970."""
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    return datetime.fromtimestamp(value / 1_000_000, UTC)


def _reproducible(facts: Mapping[str, Any]) -> Check:
    versions = facts.get("versions") or {}
    digests = [entry.get("sha256", "")[:8] for entry in (facts.get("data") or {}).values()]
    shown = f"data {digests[0]}…" if len(digests) == 1 else f"data of {len(digests)} symbols"
    if not digests or not versions:
        return {"mark": "warn", "title": "Origin not recorded", "note": "versions or data hashes are missing"}
    note = f"{shown} · engine {versions.get('engine', MISSING)} · numba {versions.get('numba', MISSING)}"
    return {"mark": "ok", "title": "Reproducible", "note": note}


def ctx_assumptions(backtest: Backtest, quote: str) -> list[tuple[str, str]]:
    """The rules behind the figures, in words."""
    spec, metrics = backtest.spec, (backtest.metadata_ or {}).get("metrics", {})
    if "costs" not in spec:
        return [
            ("Run by", "the legacy system"),
            ("Fill, costs, size", "not recorded"),
            ("Bars and code", "not recorded"),
        ]
    costs, exits = spec["costs"], spec["exits"]
    paid = (metrics.get("fees") or 0) + (metrics.get("slippage") or 0)
    facts = [
        ("Fill", "next bar's open" if spec["fill"] == "next_open" else "same bar's close"),
        ("Fee", f"{rate(costs['fee_rate'])} a side"),
        ("Slippage", f"{rate(costs['slippage_rate'])} a side"),
        ("Size", _size(spec["sizing"])),
        ("Stop / target", f"{_rate_or_none(exits['stop_loss'])} / {_rate_or_none(exits['take_profit'])}"),
    ]
    if exits["trailing_stop"] is not None:
        facts.append(("Trailing stop", rate(exits["trailing_stop"])))
    if exits["hold_bars"] is not None:
        facts.append(("Held at most", f"{count(exits['hold_bars'])} bars"))
    if exits["stops_from"] == "next_bar":
        facts.append(("Stops live from", "the bar after entry"))
    facts += [
        ("Direction", "long and short" if spec["direction"] == "both" else spec["direction"]),
        ("Cash a symbol", f"{price(spec['initial_cash'])} {quote}".strip()),
        ("Year", f"{spec.get('annual_days', 365)} days"),
        ("Costs paid", f"{compact(paid)} {quote}".strip()),
    ]
    if metrics.get("break_even_cost_pct") is not None:
        facts.append(("Breaks even at", f"{percent(metrics['break_even_cost_pct'])} a side"))
    return facts


def _size(sizing: Mapping[str, Any]) -> str:
    value = sizing.get("value")
    if sizing["kind"] == "fraction":
        return f"{rate(value)} of equity"
    if sizing["kind"] == "all_in":
        return "all in"
    return f"{price(value)} {'money' if sizing['kind'] == 'fixed_notional' else 'units'} a trade"


def _rate_or_none(value: float | None) -> str:
    return "none" if value is None else rate(value)


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
