"""The result that is there already when a form asks for it again."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict
from uuid import UUID

from storage_core.models import Backtest
from webapp.filters import ago


class Known(TypedDict):
    """Its headline figures and its age."""

    id: UUID
    age: str
    total_return_pct: float | None
    sharpe: float | None
    max_drawdown_pct: float | None
    trade_count: int


def ctx_known(backtest: Backtest, now: datetime) -> Known:
    """What the offer shows."""
    return {
        "id": backtest.task_id,
        "age": ago(backtest.finished_at or backtest.created_at, now),
        "total_return_pct": backtest.total_return_pct,
        "sharpe": backtest.sharpe,
        "max_drawdown_pct": backtest.max_drawdown_pct,
        "trade_count": backtest.trade_count or 0,
    }
