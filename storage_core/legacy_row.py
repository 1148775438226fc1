"""The row of a legacy result: what it was asked, when it ran, and the metrics that can be told honestly."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from typing import Any
from uuid import UUID

from storage_core import legacy_values
from storage_core.legacy_document import Converted
from storage_core.legacy_errors import BadLegacyFile
from storage_core.legacy_read import check_plain, wrong_type
from storage_core.legacy_shapes import COMPACT

LEGACY_STRATEGIES = frozenset({"volume_long_candle", "volume_zone_breakout"})
LONGEST_STRATEGY = 100
SPARKLINE_POINTS = 40
_TYPES: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "version": (str, "a text"),
    "description": (str, "a text"),
    "execution_time": ((int, float), "a number of seconds"),
    "total_signals": (int, "a whole number"),
    "metadata": (dict, "an object"),
    "summary": (dict, "an object"),
    "error": (dict, "an object"),
}


def request(
    document: Mapping[str, Any], symbols: Sequence[str], strategies: Collection[str], *, where: str = ""
) -> dict[str, Any]:
    """The columns that say what was asked. Raises BadLegacyFile; `where` stands before each field."""
    for key, (kind, allowed) in _TYPES.items():
        value = document.get(key)
        if value is not None and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
            raise wrong_type(f"{where}{key}", value, allowed)
    for key in ("strategy", "params", "start_date", "end_date", "timeframe"):
        if document.get(key) is None:
            raise BadLegacyFile("missing", f"{where}{key}", "is null" if key in document else "is missing")
    params = document["params"]
    if not isinstance(params, dict):
        raise wrong_type(f"{where}params", params, "an object")
    check_plain(params, f"{where}params", storable_text=True)
    strategy = _strategy(document["strategy"], f"{where}strategy", strategies)
    start, end = _dates(document, where)
    timeframe = legacy_values.timeframe(document["timeframe"], f"{where}timeframe")
    asked = {"strategy": strategy, "params": params, "symbols": list(symbols), "timeframe": timeframe}
    spec = {**asked, "start_date": start.isoformat(), "end_date": end.isoformat()}
    return {**asked, "start_date": start, "end_date": end, "spec": spec}


def times(
    document: Mapping[str, Any] | None, manifest: Mapping[str, Any] | None, changed_at: int
) -> tuple[dict[str, Any], str]:
    """The columns that say when, and from where that is known; `changed_at` is the time of the file itself."""
    ran = _instants(document, "", ("execution_date",)) | _instants(
        manifest, "manifest.json: ", ("started_at", "finished_at")
    )
    finished = ran.get("execution_date") or ran.get("finished_at")
    known = next((name for name in ("execution_date", "finished_at", "started_at") if name in ran), "")
    created = ran[known] if known else datetime.fromtimestamp(0, UTC) + timedelta(microseconds=changed_at)
    columns = {
        "created_at": created,
        "updated_at": created,
        "queued_at": created,
        "started_at": ran.get("started_at"),
        "finished_at": finished or created,
    }
    return columns, known or "file"


def run_id(text: object, field: str, expected: UUID, where: str) -> None:
    """Check the id that a file has inside against the one it is stored under."""
    if text is None:
        raise BadLegacyFile("missing", field, "is missing")
    if not isinstance(text, str):
        raise wrong_type(field, text, "an id (UUID)")
    if text.lower() != str(expected):
        known = f"is {text[:60]!r}, but the {where} is {str(expected)!r}"
        raise BadLegacyFile("bad-id", field, known)


def metrics(converted: Converted) -> dict[str, float | int | None]:
    """Metrics by stored name that follow from the signals alone, or from the one curve of the one symbol.

    Neither Sharpe nor drawdown: there is no equity at every bar, only at the ends of signals. Of the compact shape no
    money either: its equity is a factor.
    """
    signals, summary = converted.columns["signals"], converted.columns["summary"]
    count = len(signals.get("symbol", []))
    returns = [value for value in signals.get("return_pct", []) if value is not None]
    wins, losses = [v for v in returns if v > 0], [v for v in returns if v < 0]
    found: dict[str, float | int | None] = {
        "trade_count": count,
        "win_rate_pct": 100.0 * len(wins) / len(returns) if returns else None,
        "average_trade_pct": _mean(returns),
        "best_trade_pct": max(returns, default=None),
        "worst_trade_pct": min(returns, default=None),
        "average_win_pct": _mean(wins),
        "average_loss_pct": _mean(losses),
        "average_hold_bars": _mean(signals.get("hold_bars", [])),
    }
    if converted.shape != COMPACT:
        found["fees"] = _sum(signals.get("fee_amount", []))
    if len(converted.symbols) == 1:
        found |= _of_one_symbol(converted, summary)
    return found


def sparkline(converted: Converted) -> list[float] | None:
    """At most 40 points of the one curve of the one symbol."""
    equity = converted.columns["performance_curve"].get("equity", [])
    if len(converted.symbols) != 1 or not equity:
        return None
    last, points = len(equity) - 1, min(len(equity), SPARKLINE_POINTS)
    return [equity[round(point * last / max(points - 1, 1))] for point in range(points)]


def _of_one_symbol(converted: Converted, summary: Mapping[str, Sequence[Any]]) -> dict[str, float | int | None]:
    equity = converted.columns["performance_curve"].get("equity", [])
    if converted.shape == COMPACT:
        hold = (summary.get("avg_hold_bars") or [None])[0] if equity else None
        return {"total_return_pct": (equity[-1] - 1.0) * 100.0 if equity else None, "average_hold_bars": hold}
    return {
        "total_return_pct": (summary.get("total_pnl_pct") or [None])[0],
        "max_drawdown_pct": (summary.get("max_drawdown") or [None])[0],
        "final_equity": equity[-1] if equity else None,
    }


def _mean(values: Sequence[float | None]) -> float | None:
    total = _sum(values)
    return None if total is None else total / len(values)


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _strategy(name: object, field: str, known: Collection[str]) -> str:
    if not isinstance(name, str):
        raise wrong_type(field, name, "the name of a strategy")
    if name in known and len(name) <= LONGEST_STRATEGY:
        return name
    near = get_close_matches(name[:LONGEST_STRATEGY], known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(known))}"
    raise BadLegacyFile(
        "unknown-strategy", field, f"is {name[:60]!r}, an unknown strategy{hint} (--also-strategy imports it)"
    )


def _dates(document: Mapping[str, Any], where: str) -> tuple[date, date]:
    start, end = (legacy_values.day(document[key], f"{where}{key}") for key in ("start_date", "end_date"))
    if start > end:
        raise BadLegacyFile("impossible-date", f"{where}start_date", f"is {start}, after end_date {end}")
    return start, end


def _instants(document: Mapping[str, Any] | None, where: str, keys: Sequence[str]) -> dict[str, datetime]:
    metadata = (document or {}).get("metadata") or {}
    return {
        key: legacy_values.moment(metadata[key], f"{where}metadata.{key}")
        for key in keys
        if metadata.get(key) is not None
    }
