"""How a strategy is used: how often it ran, when last, and what its last lookahead check said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage_core.models import Backtest

MOST_COUNTED = 1_000


@dataclass(frozen=True, slots=True)
class Use:
    """Of one strategy, everybody's backtests counted: `runs` stops at MOST_COUNTED + 1, which means "more"."""

    runs: int
    last_at: datetime | None
    lookahead_ok: bool | None


def use_of(session: Session, strategies: Iterable[str]) -> dict[str, Use]:
    """How each of `strategies` is used. Three short walks along an index for each, however many rows there are."""
    return {name: _use(session, name) for name in strategies}


def _use(session: Session, name: str) -> Use:
    # The status stands between strategy and date in the index, so it has to be named for the newest to be found there.
    completed = (Backtest.strategy == name) & (Backtest.status == "completed")
    newest = Backtest.created_at.desc(), Backtest.task_id.desc()
    some = select(Backtest.task_id).where(completed).limit(MOST_COUNTED + 1).subquery()
    last = session.execute(
        select(Backtest.created_at, Backtest.lookahead_ok).where(completed).order_by(*newest).limit(1)
    ).one_or_none()
    runs = session.scalar(select(func.count()).select_from(some)) or 0
    return Use(runs, None if last is None else last.created_at, None if last is None else last.lookahead_ok)
