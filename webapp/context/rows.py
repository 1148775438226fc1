"""One line of a list of backtests, as the templates see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, TypedDict
from uuid import UUID

from engine.catalog import Catalog
from storage_core.models import Backtest

ACTIVE: Final = ("queued", "running")
SHOWN_SYMBOLS: Final = 2
SURE_ENOUGH: Final = 0.02


class Row(TypedDict):
    """A backtest in a list."""

    id: UUID
    strategy: str
    symbols: str
    all_symbols: str
    timeframe: str
    params: str
    all_params: str
    status: str
    active: bool
    progress: float
    state: str
    total_return_pct: float | None
    sharpe: float | None
    max_drawdown_pct: float | None
    trade_count: int | None
    sparkline: Sequence[float] | None
    error: str
    created_at: datetime


def ctx_row(backtest: Backtest, now: datetime, catalog: Catalog) -> Row:
    """The line of one backtest."""
    return {
        "id": backtest.task_id,
        "strategy": backtest.strategy,
        "symbols": short_symbols(backtest.symbols),
        "all_symbols": ", ".join(backtest.symbols),
        "timeframe": backtest.timeframe,
        "params": short_params(catalog, backtest.strategy, backtest.params),
        "all_params": all_params(backtest.params),
        "status": backtest.status,
        "active": backtest.status in ACTIVE,
        "progress": backtest.progress,
        "state": state_words(backtest, now),
        "total_return_pct": backtest.total_return_pct,
        "sharpe": backtest.sharpe,
        "max_drawdown_pct": backtest.max_drawdown_pct,
        "trade_count": backtest.trade_count,
        "sparkline": backtest.sparkline,
        "error": backtest.error_message or "",
        "created_at": backtest.created_at,
    }


def short_symbols(symbols: Sequence[str]) -> str:
    """The first symbols, and how many more there are."""
    shown = ", ".join(symbols[:SHOWN_SYMBOLS])
    more = len(symbols) - SHOWN_SYMBOLS
    return f"{shown} +{more}" if more > 0 else shown


def short_params(catalog: Catalog, strategy: str, params: Mapping[str, object]) -> str:
    """ "defaults", or the values in the order of the catalogue."""
    known = catalog.get(strategy)
    if known is None:
        return ", ".join(value_words(value) for value in params.values()) or "defaults"
    if all(params.get(param.name, param.default) == param.default for param in known.params):
        return "defaults"
    return ", ".join(value_words(params.get(param.name, param.default)) for param in known.params)


def params_words(catalog: Catalog, strategy: str, params: Mapping[str, object]) -> str:
    """ "default params", or every parameter with its name."""
    if not params:
        return ""
    return "default params" if short_params(catalog, strategy, params) == "defaults" else all_params(params)


def all_params(params: Mapping[str, object]) -> str:
    """Every parameter with its name."""
    return ", ".join(f"{name} {value_words(value)}" for name, value in params.items())


def value_words(value: object) -> str:
    """A parameter's value: yes or no for truth, the fewest digits for numbers."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def seconds_left(backtest: Backtest, now: datetime) -> float | None:
    """How long a running backtest will still take at its pace so far; None while that is a guess."""
    if backtest.status != "running" or backtest.started_at is None or backtest.progress < SURE_ENOUGH:
        return None
    elapsed = (now - backtest.started_at).total_seconds()
    return max(elapsed * (1 - backtest.progress) / backtest.progress, 0.0)


def state_words(backtest: Backtest, now: datetime) -> str:
    """What an active backtest is doing: 62% · simulating · 3 s left."""
    if backtest.status == "queued":
        return "waiting for a worker" if backtest.attempt == 0 else f"waiting for attempt {backtest.attempt + 1}"
    if backtest.cancel_requested_at is not None and backtest.status == "running":
        return "stopping"
    left = seconds_left(backtest, now)
    words = [f"{backtest.progress:.0%}", backtest.phase or "starting"]
    if left is not None and left >= 1:
        words.append(f"{left:.0f} s left" if left < 90 else f"{left / 60:.0f} min left")
    return " · ".join(words)
