"""The page of one backtest: its head, its life and log, its result's figures and assumptions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, TypedDict
from uuid import UUID

from flask_babel import gettext as _

from engine.catalog import Catalog
from storage_core.backtest_keeping import active_symbols
from storage_core.models import Backtest, BacktestEvent
from storage_core.processes import ALIVE_FOR
from webapp.context.events import Event, ctx_events
from webapp.context.rows import ACTIVE, params_words, short_symbols, state_words
from webapp.filters import currency, duration
from webapp.language import translated
from webapp.phrases import said, sentence

WHOLE_MONEY: Final = 100_000  # equity from which amounts are shown without cents
POLLS: Final = ((0.5, "30ms"), (1.5, "100ms"), (5.0, "250ms"))
"""Up to which age, in seconds, how soon to look again: most backtests end within a second."""
SLOW_POLL: Final = "1s"
PATIENCE_SECONDS: Final = 5.0


class Head(TypedDict):
    """Title and line below it, the same on every tab and in every state."""

    id: UUID
    title: str
    strategy: str
    symbols: str
    all_symbols: str
    timeframe: str
    status: str
    active: bool
    cancelling: bool
    start: str
    end: str
    bars: int | None
    took: str
    params: str
    mine: bool
    source: str
    created_at: datetime
    currency: str
    money_digits: int
    trade_count: int | None
    tags: Sequence[str]
    pinned: bool
    shared: bool
    may_change: bool
    active_symbols: Sequence[str]
    symbol_count: int


class Life(TypedDict):
    """How far an unfinished or failed backtest is."""

    progress: float
    state: str
    announce: str
    poll: str
    error_code: str
    error_message: str
    advice: str
    waits: bool
    stuck: bool
    events: Sequence[Event]


def ctx_head(backtest: Backtest, viewer_id: int, catalog: Catalog, *, may_change: bool = False) -> Head:
    """The head of the page; `may_change`: whether the viewer may note, pin, share and delete it."""
    known = catalog.get(backtest.strategy)
    facts = backtest.metadata_ or {}
    return {
        "id": backtest.task_id,
        "title": translated(known.label) if known else backtest.strategy,
        "strategy": backtest.strategy,
        "symbols": short_symbols(backtest.symbols),
        "all_symbols": ", ".join(backtest.symbols),
        "timeframe": backtest.timeframe,
        "status": backtest.status,
        "active": backtest.status in ACTIVE,
        "cancelling": backtest.status == "running" and backtest.cancel_requested_at is not None,
        "start": backtest.start_date.isoformat(),
        "end": backtest.end_date.isoformat(),
        "bars": facts.get("bars"),
        "took": took(backtest),
        "params": params_words(catalog, backtest.strategy, backtest.params),
        "mine": backtest.owner_id == viewer_id,
        "source": backtest.source,
        "created_at": backtest.created_at,
        "currency": currency(backtest.symbols),
        "money_digits": 0 if (backtest.final_equity or 0) >= WHOLE_MONEY else 2,
        "trade_count": backtest.trade_count,
        "tags": backtest.tags,
        "pinned": backtest.pinned,
        "shared": backtest.shared,
        "may_change": may_change,
        "active_symbols": active_symbols(backtest),
        "symbol_count": len(backtest.symbols),
    }


def took(backtest: Backtest) -> str:
    """How long the last attempt ran."""
    if backtest.started_at is None or backtest.finished_at is None:
        return ""
    return duration((backtest.finished_at - backtest.started_at).total_seconds())


def ctx_life(backtest: Backtest, events: Sequence[BacktestEvent], now: datetime, *, workers: int) -> Life:
    """Progress, phase and log; polls quickly while the first answer is near. `workers`: how many give signs of life."""
    age = (now - backtest.created_at).total_seconds()
    return {
        "progress": backtest.progress,
        "state": state_words(backtest, now),
        "announce": f"{said(backtest.status).capitalize()} {said(backtest.phase)}".strip(),
        "poll": next((pause for limit, pause in POLLS if age < limit), SLOW_POLL),
        "error_code": backtest.error_code or "",
        "error_message": sentence(backtest.error_message or ""),
        "advice": advice(backtest.error_code),
        "waits": backtest.status == "queued" and age > PATIENCE_SECONDS,
        "stuck": backtest.status == "queued" and age > ALIVE_FOR.total_seconds() and not workers,
        "events": ctx_events(events),
    }


def advice(code: str | None) -> str:
    """What a person can do about a failure."""
    if code in ("no_bars", "bad_symbol", "bars_error", "bad_bars", "bars_damaged"):
        return _("Choose symbols and dates that are stored, then run it again.")
    if code in ("spec_error", "spec_errors", "strategy_error"):
        return _("Change the params, then run it again.")
    if code == "worker_lost":
        return _("The machine of the worker stopped or ran out of memory. A shorter range needs less of it.")
    return _("The log of the worker has the details. Running it again may help.")
