"""The list of backtests: pages by keyset, so that page 1,000 costs what page 1 costs, in any order.

An order is one or two stretches of rows, each walked along one key with an index (`backtest_orders`). What one person
sees lies in two parts that no single index holds together, their own and what is there for everybody: each is walked
by its own index, and the two are merged here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage_core.backtest_cursor import Place, read_cursor, write_cursor
from storage_core.backtest_filters import Filters
from storage_core.backtest_orders import BEST, NEWEST, SORTS, Step, Stretch, stretches
from storage_core.backtest_walk import LISTED, Listed, Walk
from storage_core.models import Backtest

__all__ = ["BEST", "LARGEST_PAGE", "LISTED", "NEWEST", "SORTS", "Listed", "Page", "count_up_to", "list_page"]

LARGEST_PAGE = 200


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
    filters = _seen(filters, owner_id)
    order = stretches(sort, session.get_bind().dialect.name, filters)
    cursor = after if before is None else before
    kinds = [(stretch.kind, stretch.newest_first is not None) for stretch in order]
    start = None if cursor is None else read_cursor(cursor, sort, kinds)
    walks = _Walks(filters, session, newest=sort in ("created_at", NEWEST))
    found = walks.fetch(order, start, back=before is not None, count=size + 1)
    if not found and cursor is not None:
        if before is None:
            return Page([], newer=after, older=None)
        return list_page(session, size=size, filters=filters, sort=sort)
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
    filters, dialect = _seen(filters, owner_id), session.get_bind().dialect.name
    counted = 0
    for part in filters.parts(dialect):
        for half in filters.halves(part, dialect):
            some = select(Backtest.task_id).where(*half).limit(limit + 1 - counted).subquery()
            counted += session.scalar(select(func.count()).select_from(some)) or 0
    return counted


_Found: TypeAlias = tuple[int, Listed]


def _seen(filters: Filters | None, owner_id: int | None) -> Filters:
    filters = filters or Filters()
    return filters if owner_id is None else replace(filters, visible_to=owner_id)


class _Walks:
    """The parts of the list, walked side by side."""

    def __init__(self, filters: Filters, session: Session, *, newest: bool) -> None:
        dialect = session.get_bind().dialect.name
        strewn = filters.strewn(dialect, newest=newest)
        self.walks: list[Walk] = []
        for part in filters.parts(dialect):
            halves = filters.halves(part, dialect)
            ways = [(half, [half]) for half in halves] if newest else [(part, halves)]
            self.walks += [Walk(session, *way, strewn=strewn) for way in ways]

    def fetch(self, stretches: list[Stretch], start: Place | None, *, back: bool, count: int) -> list[_Found]:
        """The next `count` rows beyond `start`, going on into the next stretch where one ends."""
        order = list(enumerate(stretches))
        if start is not None:
            order = order[: start.stretch + 1] if back else order[start.stretch :]
        found: list[_Found] = []
        for index, stretch in reversed(order) if back else order:
            here = start if start is not None and start.stretch == index else None
            for step in stretch.steps(here, back=back):
                rows = self._step(step, count - len(found))
                found += [(index, row) for row in rows]
                if len(found) == count:
                    return found
        return found

    def _step(self, step: Step, count: int) -> Sequence[Listed]:
        found = [walk.step(step, count) for walk in self.walks]
        return step.merge([row for rows in found for row in rows])[:count] if len(found) > 1 else found[0]


def _place(found: _Found, stretches: list[Stretch]) -> Place:
    index, row = found
    return stretches[index].place(index, row)
