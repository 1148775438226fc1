"""The list of backtests: pages by keyset, so that page 1,000 costs what page 1 costs, in any order.

An order is one or two stretches of rows, each walked along one key with an index (`backtest_orders`). What one person
sees lies in two parts that no single index holds together, their own and what is there for everybody: each is walked
by its own index, and the two are merged here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from sqlalchemy import Row, Select, func, select
from sqlalchemy.orm import Session

from storage_core.backtest_cursor import Place, read_cursor, write_cursor
from storage_core.backtest_filters import Filters
from storage_core.backtest_orders import BEST, NEWEST, PLACE, SORTS, Stretch, stretches
from storage_core.models import Backtest
from storage_core.models.backtest import METRIC_COLUMNS

__all__ = ["BEST", "LARGEST_PAGE", "LISTED", "NEWEST", "SORTS", "Listed", "Page", "count_up_to", "list_page"]

LARGEST_PAGE = 200

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
    order = stretches(sort, session.get_bind().dialect.name)
    cursor = after if before is None else before
    kinds = [(stretch.kind, stretch.newest_first is not None) for stretch in order]
    start = None if cursor is None else read_cursor(cursor, sort, kinds)
    parts = _parts(session, owner_id, filters, order=sort.removeprefix("-"))
    found = _fetch(session, parts, order, start, back=before is not None, count=size + 1)
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
    newer = write_cursor(_place(rows[0], order), sort) if has_newer else None
    older = write_cursor(_place(rows[-1], order), sort) if has_older else None
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
        keyed = [part.add_columns(stretch.key.label(PLACE)) for part in parts]
        for step in stretch.steps(here, back=back):
            left = count - len(found)
            walks = [session.execute(step.walk(part).limit(left)).all() for part in keyed]
            rows = step.sort([row for walk in walks for row in walk]) if len(walks) > 1 else walks[0]
            found += [(index, row) for row in rows[:left]]
            if len(found) == count:
                return found
    return found


def _place(found: _Found, stretches: list[Stretch]) -> Place:
    index, row = found
    return stretches[index].place(index, row)
