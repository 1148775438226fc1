"""Whose turn it is: fair shares between people, and between one person's short and long backtests.

Workers take the queued backtest with the lowest `turn`. A flow is the short, or the long, backtests of one person
(of nobody: those without an owner). A flow with nothing queued joins at the turn that is served now; behind its own
last backtest the next one stands as many turns as it costs, one for each 100,000 bars begun. So somebody's 500th
stands 500 turns away, another's first is served at once, a short one does not wait for its owner's long ones, and
nobody waits for ever: turns only grow. (Start-time fair queueing: Goyal, Vin and Cheng, 1996.)

The order costs two looks at an index when a backtest is queued and one when it is claimed, however long the queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, ScalarSelect, literal_column, select
from sqlalchemy.orm import Session

from storage_core.bar_names import TIMEFRAMES
from storage_core.models import Backtest

BARS_A_TURN = 100_000
CLOCK_SKEW = timedelta(seconds=1)
"""How far ahead the clock of the machine that queued may be; less than the shortest backoff."""


def cost(spec: Mapping[str, Any]) -> int:
    """How many turns a backtest of `spec` costs, from its dates alone: 1 and more."""
    days = (date.fromisoformat(spec["end_date"]) - date.fromisoformat(spec["start_date"])).days + 1
    bars = days * 86_400 // TIMEFRAMES.get(spec["timeframe"], 60)
    bars = min(bars, spec.get("candle_size") or bars)
    return 1 + bars * len(spec["symbols"]) // BARS_A_TURN


def place(session: Session, *, owner_id: int | None, spec: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The columns that put a backtest in line: its lane and its turn."""
    turns = cost(spec)
    lane = "short" if turns == 1 else "long"
    served = select(Backtest.turn).where(_due(now)).order_by(Backtest.turn).limit(1)
    flow = (Backtest.owner_id.is_(None) if owner_id is None else Backtest.owner_id == owner_id, Backtest.lane == lane)
    last = select(Backtest.turn).where(_queued(), *flow).order_by(Backtest.turn.desc()).limit(1)
    found = session.execute(select(served.scalar_subquery(), last.scalar_subquery())).one()
    now_served = found[0] or 0
    behind_own = now_served if found[1] is None else found[1] + turns
    return {"lane": lane, "turn": max(now_served, behind_own)}


def next_in_line(now: datetime) -> ScalarSelect[UUID]:
    """The backtest to be claimed now, as a subquery; on PostgreSQL it passes over rows that others are claiming."""
    order = (Backtest.turn, Backtest.queued_at)
    found = select(Backtest.task_id).where(_due(now)).order_by(*order).limit(1).with_for_update(skip_locked=True)
    return found.scalar_subquery()


def in_line(session: Session, *, limit: int, now: datetime) -> list[UUID]:
    """The first `limit` queued backtests that may be claimed now, in the order of their turns."""
    due = select(Backtest.task_id).where(_due(now)).order_by(Backtest.turn, Backtest.queued_at).limit(limit)
    return list(session.scalars(due))


def _queued() -> ColumnElement[bool]:
    # A literal, not a parameter: with a parameter neither database can know that the partial index fits.
    return Backtest.status == literal_column("'queued'")


def _due(now: datetime) -> ColumnElement[bool]:
    return _queued() & (Backtest.queued_at <= now + CLOCK_SKEW)
