"""How one step of an order is asked for.

The planner of PostgreSQL takes what a filter asks for to be spread evenly along the order, walks the order, and stops
when the page is full. Where that is not so (rows of a delisted symbol among the newest, good Sharpe ratios among the
worst returns), the walk passes hundreds of thousands of rows before it finds the first. So it has a time; when that
is up, all rows that pass are collected first, by an index of the filter, and then sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Row, Select, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from storage_core.backtest_orders import PLACE, Step
from storage_core.models import Backtest
from storage_core.models.backtest import METRIC_COLUMNS

WALK_MS = 50
"""How long a walk may take, in milliseconds: ten times what one takes that was guessed rightly."""

LISTED: tuple[str, ...] = (
    "task_id", "strategy", "symbols", "start_date", "end_date", "timeframe", "status", "file_size", "record_count",
    "created_at", "params", "owner_id", "source", "shared", "note", "pinned", "tags", "attempt", "excused",
    "progress", "phase", "queued_at", "started_at", "finished_at", "error_code", "error_message",
    "cancel_requested_at", "sparkline", "lookahead_ok", "deleted_at", *METRIC_COLUMNS,
)  # fmt: skip
"""What a row of the list knows of its backtest; the rest is for `backtests.get`."""
Listed: TypeAlias = Row[Any]
"""A row of the list: the attributes LISTED of a `Backtest`, to read only. A third of the cost of a `Backtest`."""

_COLUMNS = tuple(getattr(Backtest, name) for name in LISTED)


def walk(
    session: Session, where: Sequence[ColumnElement[bool]], step: Step, *, count: int, strewn: bool
) -> Sequence[Listed]:
    """The first `count` of the rows with `where` in this step; `strewn` = they may lie anywhere along the order."""
    rows = select(*_COLUMNS).where(*where, *step.where)
    walked = step.sorted(rows.add_columns(step.key.label(PLACE))).limit(count)
    if not strewn or session.get_bind().dialect.name != "postgresql":
        return session.execute(walked).all()
    found = _within_its_time(session, walked)
    return session.execute(_collected(rows, step).limit(count)).all() if found is None else found


def _within_its_time(session: Session, query: Select[Any]) -> Sequence[Listed] | None:
    """What it finds, or None when its time is up. The savepoint takes the limit, or the error, back with it."""
    savepoint = session.connection().begin_nested()
    try:
        session.execute(text(f"SET LOCAL statement_timeout = {WALK_MS}"))
        return session.execute(query).all()
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != "57014":  # query_canceled
            raise
        return None
    finally:
        savepoint.rollback()


def _collected(rows: Select[Any], step: Step) -> Select[Any]:
    """`rows`, found before they are sorted.

    The common table expression has the name of the table, so that the order speaks of its rows.
    """
    found = rows.cte(Backtest.__tablename__).prefix_with("MATERIALIZED")
    return step.sorted(select(*_COLUMNS, step.key.label(PLACE))).add_cte(found)
