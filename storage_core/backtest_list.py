"""The list of backtests: pages by keyset, so that page 1,000 costs what page 1 costs, in any order.

An order is one or two stretches of rows, each walked along one key with an index: by submit date it is one; by a
metric it is the rows that have the metric, by its value, and then the rows that have none, newest first. What one
person sees lies in two parts that no single index holds together, their own and what is there for everybody: each is
walked by its own index, and the two are merged here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Row, Select, UnaryExpression, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from storage_core.backtest_cursor import Place, read_cursor, write_cursor
from storage_core.backtest_filters import COMPLETED, Filters, metric_column
from storage_core.errors import BadFilter
from storage_core.models import Backtest
from storage_core.models.backtest import METRIC_COLUMNS

LARGEST_PAGE = 200
NEWEST = "-created_at"
SORTS: tuple[str, ...] = tuple(sign + name for name in ("created_at", *METRIC_COLUMNS) for sign in ("", "-"))
"""Orders of the list: a column, ascending, or descending with a minus sign."""


LISTED: tuple[str, ...] = (
    "task_id", "strategy", "symbols", "start_date", "end_date", "timeframe", "status", "file_size", "record_count",
    "created_at", "params", "owner_id", "source", "shared", "note", "pinned", "tags", "attempt", "excused",
    "progress", "phase", "queued_at", "started_at", "finished_at", "error_code", "error_message",
    "cancel_requested_at", "sparkline", "lookahead_ok", "deleted_at", *METRIC_COLUMNS,
)  # fmt: skip
"""What a row of the list knows of its backtest; the rest is for `backtests.get`."""
Listed: TypeAlias = Row[Any]
"""A row of the list: the attributes LISTED of a `Backtest`, to read only. A third of the cost of a `Backtest`."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page in the order asked for. `newer` goes in `before=`, `older` in `after=`; None = no such page."""

    rows: Sequence[Listed]
    newer: str | None
    older: str | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows walked along (column, task_id), both in one direction."""

    column: InstrumentedAttribute[Any]
    descending: bool
    where: tuple[ColumnElement[bool], ...] = ()

    def walk(self, query: Select[Any], start: Place | None, *, back: bool) -> Select[Any]:
        """The rows of this stretch beyond `start` (None: all of it), in its direction or `back`."""
        descending = self.descending != back
        query = query.where(*self.where)
        if start is not None:
            key, place = tuple_(self.column, Backtest.task_id), tuple_(start.value, start.task_id)
            query = query.where(key < place if descending else key > place)
        if descending:
            return query.order_by(self._nulls(self.column.desc()), Backtest.task_id.desc())
        return query.order_by(self._nulls(self.column.asc(), first=True), Backtest.task_id.asc())

    def _nulls(self, order: UnaryExpression[Any], *, first: bool = False) -> UnaryExpression[Any]:
        """No row here has a null, yet they must be said to lie where the index has them, or PostgreSQL would sort."""
        if not self.column.nullable:
            return order
        return order.nulls_first() if first else order.nulls_last()


def list_page(
    session: Session,
    *,
    owner_id: int | None = None,
    after: str | None = None,
    before: str | None = None,
    size: int = 25,
    filters: Filters | None = None,
    sort: str = NEWEST,
) -> Page:
    """One page of the backtests that pass `filters` (None: all that are not deleted), in the order `sort`.

    `owner_id` not None = what that person sees, as `Filters.visible_to`. `size` is cut to 1..200. Raises BadCursor
    (also for a cursor of another order) and BadFilter.
    """
    size = min(max(size, 1), LARGEST_PAGE)
    stretches = _stretches(sort)
    cursor = after if before is None else before
    start = None if cursor is None else read_cursor(cursor, sort, len(stretches))
    parts = _parts(session, owner_id, filters, order=sort.removeprefix("-"))
    found = _fetch(session, parts, stretches, start, back=before is not None, count=size + 1)
    if not found and cursor is not None:
        if before is None:
            return Page([], newer=after, older=None)
        return list_page(session, owner_id=owner_id, size=size, filters=filters, sort=sort)
    more, rows = len(found) > size, found[:size]
    if before is not None:
        rows.reverse()
        has_newer, has_older = more, True
    else:
        has_newer, has_older = after is not None, more
    newer = write_cursor(_place(rows[0], stretches), sort) if has_newer else None
    older = write_cursor(_place(rows[-1], stretches), sort) if has_older else None
    return Page([row for _, row in rows], newer, older)


def count_up_to(
    session: Session, limit: int = 1000, *, owner_id: int | None = None, filters: Filters | None = None
) -> int:
    """How many backtests pass `filters`, counted no further than `limit` + 1 (which stands for "more than")."""
    counted = 0
    for part in _parts(session, owner_id, filters):
        some = part.with_only_columns(Backtest.task_id).limit(limit + 1 - counted).subquery()
        counted += session.scalar(select(func.count()).select_from(some)) or 0
    return counted


_Found: TypeAlias = tuple[int, Listed]


def _parts(session: Session, owner_id: int | None, filters: Filters | None, *, order: str = "") -> list[Select[Any]]:
    """The list in parts that have no row in common, in any order."""
    filters = filters or Filters()
    if owner_id is not None:
        filters = replace(filters, visible_to=owner_id)
    columns = select(*(getattr(Backtest, name) for name in LISTED))
    return [columns.where(*part) for part in filters.parts(session.get_bind().dialect.name, order=order)]


def _stretches(sort: str) -> list[Stretch]:
    if sort not in SORTS:
        raise BadFilter("sort", sort, ", ".join(SORTS))
    name, descending = sort.removeprefix("-"), sort.startswith("-")
    if name == "created_at":
        return [Stretch(Backtest.created_at, descending)]
    column = metric_column(name)
    having = Stretch(column, descending, (COMPLETED, column.is_not(None)))
    return [having, Stretch(Backtest.created_at, descending=True, where=(column.is_(None),))]


def _fetch(
    session: Session, parts: list[Select[Any]], stretches: list[Stretch], start: Place | None, *, back: bool, count: int
) -> list[_Found]:
    """The next `count` rows beyond `start`, going on into the next stretch where one ends."""
    order = list(enumerate(stretches))
    if start is not None:
        order = order[: start.stretch + 1] if back else order[start.stretch :]
    found: list[_Found] = []
    for index, stretch in reversed(order) if back else order:
        here = start if start is not None and start.stretch == index else None
        left = count - len(found)
        walks = [session.execute(stretch.walk(part, here, back=back).limit(left)).all() for part in parts]
        found += [(index, row) for row in _merged(walks, stretch, back=back)[:left]]
        if len(found) == count:
            break
    return found


def _merged(walks: Sequence[Sequence[Listed]], stretch: Stretch, *, back: bool) -> Sequence[Listed]:
    """The rows of several walks along the same key, in its order."""
    if len(walks) == 1:
        return walks[0]
    name = stretch.column.key
    rows = [row for walk in walks for row in walk]
    return sorted(rows, key=lambda row: (getattr(row, name), row.task_id), reverse=stretch.descending != back)


def _place(found: _Found, stretches: list[Stretch]) -> Place:
    index, row = found
    return Place(index, getattr(row, stretches[index].column.key), row.task_id)
