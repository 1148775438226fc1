"""Which results were computed on which bars: asked before bars are deleted."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage_core.backtest_filters import Filters
from storage_core.models import Backtest


def count_uses(session: Session, symbol: str, timeframe: str, *, most: int = 1000) -> int:
    """How many completed backtests, deleted ones aside, used bars of one symbol and timeframe; `most` at most."""
    asked = Filters(symbols=(symbol,), timeframes=(timeframe,), statuses=("completed",))
    found = (
        select(Backtest.task_id)
        .where(*asked.conditions(session.get_bind().dialect.name), Backtest.deleted_at.is_(None))
        .limit(most)
    )
    return session.scalar(select(func.count()).select_from(found.subquery())) or 0
