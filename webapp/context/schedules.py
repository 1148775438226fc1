"""Schedules as the templates see them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TypedDict
from uuid import UUID

from engine.catalog import Catalog
from storage_core.models import Backtest, Schedule


class Run(TypedDict):
    """One backtest of a schedule."""

    task_id: UUID
    status: str
    created_at: datetime
    start: date
    end: date
    total_return_pct: float | None
    sharpe: float | None
    max_drawdown_pct: float | None
    trade_count: int | None
    sparkline: Sequence[float]
    error: str


class ScheduleLine(TypedDict):
    """One schedule."""

    id: int
    name: str
    strategy: str
    strategy_label: str
    symbols: str
    timeframe: str
    every: str
    window_days: int | None
    first_day: str
    active: bool
    next_run_at: datetime
    last_run_at: datetime | None
    last_error: str
    last: Run | None


def ctx_schedule(schedule: Schedule, last: Backtest | None, catalog: Catalog) -> ScheduleLine:
    """A schedule with its newest result."""
    strategy = str(schedule.spec["strategy"])
    known = catalog.get(strategy)
    return {
        "id": schedule.id,
        "name": schedule.name,
        "strategy": strategy,
        "strategy_label": known.label if known else strategy,
        "symbols": ", ".join(schedule.spec["symbols"]),
        "timeframe": str(schedule.spec["timeframe"]),
        "every": schedule.every,
        "window_days": schedule.window_days,
        "first_day": str(schedule.spec["start_date"]),
        "active": schedule.active,
        "next_run_at": schedule.next_run_at,
        "last_run_at": schedule.last_run_at,
        "last_error": schedule.last_error or "",
        "last": ctx_run(last) if last is not None else None,
    }


def ctx_run(backtest: Backtest) -> Run:
    """The figures of one run."""
    return {
        "task_id": backtest.task_id,
        "status": backtest.status,
        "created_at": backtest.created_at,
        "start": backtest.start_date,
        "end": backtest.end_date,
        "total_return_pct": backtest.total_return_pct,
        "sharpe": backtest.sharpe,
        "max_drawdown_pct": backtest.max_drawdown_pct,
        "trade_count": backtest.trade_count,
        "sparkline": backtest.sparkline or (),
        "error": backtest.error_message or "",
    }
