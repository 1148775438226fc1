"""How one step of an order is asked for.

The planner takes what a filter asks for to be spread evenly along the order, walks the order, and stops when the page
is full. Where that is not so (rows of a delisted symbol among the newest, good Sharpe ratios among the worst returns),
the walk passes hundreds of thousands of rows before it finds the first. So it has a time; when that is up, all rows
that pass are collected first, by an index of the filter, and then sorted. PostgreSQL knows how many rows a filter
finds; on SQLite, which does not, that has a time as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Row, Select, literal_column, select, union_all
from sqlalchemy.orm import Session

from storage_core.backtest_orders import PLACE, Step
from storage_core.models import Backtest
from storage_core.models.backtest import METRIC_COLUMNS
from storage_core.time_limit import rows_in_time
from storage_core.unindexed import unindexed

LISTED: tuple[str, ...] = (
    "task_id", "strategy", "symbols", "start_date", "end_date", "timeframe", "status", "file_size", "record_count",
    "created_at", "params", "owner_id", "source", "shared", "note", "pinned", "tags", "attempt", "excused",
    "progress", "phase", "queued_at", "started_at", "finished_at", "error_code", "error_message",
    "cancel_requested_at", "sparkline", "lookahead_ok", "deleted_at", *METRIC_COLUMNS,
)  # fmt: skip
"""What a row of the list knows of its backtest; the rest is for `backtests.get`."""
Listed: TypeAlias = Row[Any]
"""A row of the list: the attributes LISTED of a `Backtest`, to read only. A third of the cost of a `Backtest`."""

_ROWID: ColumnElement[int] = literal_column(f"{Backtest.__tablename__}.rowid")
_COLUMNS = tuple(getattr(Backtest, name) for name in LISTED)


Conditions: TypeAlias = Sequence[ColumnElement[bool]]


class Walk:
    """The rows with `where`, step by step; `halves` are the same rows in other words, of which indexes know more.

    `strewn` = they may lie anywhere along the order.
    """

    def __init__(self, session: Session, where: Conditions, halves: Sequence[Conditions], *, strewn: bool) -> None:
        self.session, self.where, self.halves, self.strewn = session, where, halves, strewn
        self.dialect = session.get_bind().dialect.name
        self._ways = list(_WAYS[self.dialect])

    def step(self, step: Step, count: int) -> Sequence[Listed]:
        """The first `count` of the rows in this step."""
        if not self.strewn:
            return self.session.execute(_walked(self.where, step).limit(count)).all()
        while True:
            way, milliseconds = self._ways[0]
            query = way(self, step).limit(count)
            if milliseconds is None:
                return self.session.execute(query).all()
            found = rows_in_time(self.session, query, milliseconds=milliseconds)
            if found is not None:
                return found
            del self._ways[0]  # of the next step it takes as long


def _walked(where: Conditions, step: Step) -> Select[Any]:
    return step.sorted(select(*_COLUMNS, step.key.label(PLACE)).where(*where, *step.where))


def _along(walk: Walk, step: Step) -> Select[Any]:
    return _walked(walk.where, step)


def _collected(walk: Walk, step: Step) -> Select[Any]:
    """The same rows, found before they are sorted.

    The common table expression has the name of the table, so that the order speaks of its rows.
    """
    rows = select(*_COLUMNS).where(*walk.where, *step.where)
    found = rows.cte(Backtest.__tablename__).prefix_with("MATERIALIZED")
    return step.sorted(select(*_COLUMNS, step.key.label(PLACE))).add_cte(found)


def _along_sqlite(walk: Walk, step: Step) -> Select[Any]:
    """SQLite would rather collect than walk wherever a filter has an index."""
    return _walked([unindexed(condition) for condition in walk.where], step)


def _collected_sqlite(walk: Walk, step: Step) -> Select[Any]:
    found = union_all(*(select(_ROWID).select_from(Backtest).where(*where) for where in walk.halves))
    rest = [unindexed(condition) for condition in step.where]
    return step.sorted(select(*_COLUMNS, step.key.label(PLACE)).where(_ROWID.in_(found), *rest), walked=False)


_Way: TypeAlias = tuple[Callable[[Walk, Step], Select[Any]], int | None]
_WAYS: dict[str, tuple[_Way, ...]] = {
    "postgresql": ((_along, 50), (_collected, None)),
    "sqlite": ((_along_sqlite, 5), (_collected_sqlite, 10), (_along_sqlite, 20), (_collected_sqlite, None)),
}
"""What is tried one after the other, and for how many milliseconds: where it fits, either takes one to five."""
