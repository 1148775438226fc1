"""Orders of the list, and how each is walked along an index.

An order is one or two stretches of rows. By submit date it is one, and so it is by a column that every row has. By a
metric, the note or the owner it is the rows that have it, by its value, and then the others, newest first.

Many rows share a strategy or a state. Among those an order has a usual direction (A to Z, the latest period first), in
which the newest come first; its other direction is the same rows from the end. `params` have no order: from A to Z
their JSON tells people nothing.

Text is ordered by the numbers of its characters, in both databases and here, whatever language the database was made
for; long text by its beginning, as an index of PostgreSQL holds no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Row, Select, Text, UnaryExpression, tuple_, type_coerce
from sqlalchemy.orm import InstrumentedAttribute

from storage_core.backtest_cursor import COUNT, DATE, INSTANT, NUMBER, TEXT, Place
from storage_core.backtest_filters import COMPLETED, HAS_NO_NOTE, HAS_NOTE, Filters, listed_text, metric_column
from storage_core.errors import BadFilter
from storage_core.models import Backtest
from storage_core.models.backtest import COLLATIONS, METRIC_COLUMNS
from storage_core.unindexed import unindexed

Key: TypeAlias = ColumnElement[Any] | InstrumentedAttribute[Any]
NEWEST = "-created_at"
_WORDS = ("strategy", "timeframe", "status", "source")
_DATES = ("start_date", "end_date")


def _both_ways(*names: str) -> tuple[str, ...]:
    return tuple(sign + name for name in names for sign in ("", "-"))


BEST: tuple[str, ...] = _both_ways("created_at", *METRIC_COLUMNS)
"""Orders that can say which backtests are the best."""
SORTS: tuple[str, ...] = (*BEST, *_both_ways(*_WORDS, "symbols", *_DATES, "note", "owner_id"))
"""Orders of the list: a column, ascending, or descending with a minus sign."""
PLACE = "place"
"""What the key of the order is called in a row that was found."""


@dataclass(frozen=True, slots=True)
class Step:
    """Rows that are walked at a time: those with `where`, along `order` (attribute of a row, expression, descending).

    `key` is what the order goes by as a whole.
    """

    key: Key
    where: tuple[ColumnElement[bool], ...]
    order: tuple[tuple[str, Key, bool], ...]

    def sorted(self, query: Select[Any], *, walked: bool = True) -> Select[Any]:
        """The rows of `query` in order; not `walked` = on SQLite without an index of that order."""
        keys = [(key, key if walked else unindexed(key), down) for _, key, down in self.order]
        return query.order_by(*(_ordered(key, by, down) for key, by, down in keys))

    def merge(self, rows: list[Row[Any]]) -> list[Row[Any]]:
        """Rows of several queries in the same order."""
        for name, _, down in reversed(self.order):
            rows = sorted(rows, key=lambda row, name=name: getattr(row, name), reverse=down)  # type: ignore[misc]
        return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Rows walked along `key`, of a `kind` of the cursor; where it is equal newest or oldest first, or (None) by id.

    `fixed`: all rows are equal there, so that an index of the rest of the order serves.
    """

    key: Key
    kind: str
    descending: bool
    newest_first: bool | None = None
    where: tuple[ColumnElement[bool], ...] = ()
    fixed: bool = False

    def steps(self, start: Place | None, *, back: bool) -> Iterator[Step]:
        """What to walk, one after the other, beyond `start` (None: all of it), in its direction or `back`."""
        down = self.descending != back
        by_key = (PLACE, self.key, down)
        if self.newest_first is None:
            beyond = () if start is None else (_beyond(self.key, start.value, start, down=down),)
            yield self._step(beyond, (by_key, ("task_id", _ID, down)))
            return
        newest_first = self.newest_first != back
        ties = (("created_at", _AT, newest_first), ("task_id", _ID, newest_first))
        if start is None:
            yield self._step((), ties if self.fixed else (by_key, *ties))
            return
        rest = _beyond(_AT, start.created_at, start, down=newest_first)
        yield self._step((self.key == start.value, rest), ties)
        if self.fixed:
            return
        others = self.key < start.value if down else self.key > start.value
        yield self._step((others,), (by_key, *ties))

    def _step(self, beyond: tuple[ColumnElement[bool], ...], order: tuple[tuple[str, Key, bool], ...]) -> Step:
        return Step(self.key, (*self.where, *beyond), order)

    def place(self, index: int, row: Row[Any]) -> Place:
        """The place of a row that was found in this stretch, the order's `index`th."""
        at = None if self.newest_first is None else row.created_at
        return Place(index, self.kind, getattr(row, PLACE), row.task_id, at)


def stretches(sort: str, dialect: str, filters: Filters) -> list[Stretch]:
    """The stretches of the order `sort` in the database of this `dialect`, cut to where rows can pass `filters`.

    Raises BadFilter.
    """
    if sort not in SORTS:
        raise BadFilter("sort", sort, ", ".join(SORTS))
    name, descending = sort.removeprefix("-"), sort.startswith("-")
    bounds = filters.bounds(name)
    if name == "created_at":
        return [Stretch(key=_AT, kind=INSTANT, descending=descending, where=_between(_AT, *bounds))]
    if name in METRIC_COLUMNS:
        metric, kind = metric_column(name), COUNT if name == "trade_count" else NUMBER
        where = (COMPLETED, metric.is_not(None), *_between(metric, *bounds))
        return [Stretch(key=metric, kind=kind, descending=descending, where=where), _newest(metric.is_(None))]
    newest_first = descending == (name in _DATES)
    if name in _DATES:
        day, kind = getattr(Backtest, name), DATE
        if dialect == "sqlite":  # where days are stored as text
            day, kind = type_coerce(day, Text()).collate(COLLATIONS[dialect]), TEXT
            bounds = tuple(bound and bound.isoformat() for bound in bounds)
        where = _between(day, *bounds)
        return [Stretch(key=day, kind=kind, descending=descending, newest_first=newest_first, where=where)]
    if name == "owner_id":
        owner = Backtest.owner_id
        owned = (owner.is_not(None), *_between(owner, *bounds))
        by_owner = Stretch(key=owner, kind=COUNT, descending=descending, newest_first=newest_first, where=owned)
        return [by_owner, _newest(owner.is_(None))]
    key = listed_text(name, dialect)
    where = (HAS_NOTE,) if name == "note" else _between(key, *bounds)
    fixed = bounds[0] is not None and bounds[0] == bounds[1]
    by_text = Stretch(key=key, kind=TEXT, descending=descending, newest_first=newest_first, where=where, fixed=fixed)
    return [by_text, _newest(HAS_NO_NOTE)] if name == "note" else [by_text]


_AT, _ID = Backtest.created_at, Backtest.task_id


def _newest(where: ColumnElement[bool]) -> Stretch:
    return Stretch(key=_AT, kind=INSTANT, descending=True, where=(where,))


def _between(key: Key, lowest: Any, highest: Any) -> tuple[ColumnElement[bool], ...]:
    """Where in the order rows can pass: from a filter by the plain column its index would not see it."""
    if lowest is not None and lowest == highest:
        return (key == lowest,)
    from_lowest = () if lowest is None else (key >= lowest,)
    return from_lowest if highest is None else (*from_lowest, key <= highest)


def _beyond(key: Key, value: object, start: Place, *, down: bool) -> ColumnElement[bool]:
    here, place = tuple_(key, _ID), tuple_(value, start.task_id)
    return here < place if down else here > place


def _ordered(key: Key, by: Key, down: bool) -> UnaryExpression[Any]:
    order = by.desc() if down else by.asc()
    if getattr(key, "key", None) not in METRIC_COLUMNS:
        return order
    # No row here has a null, yet they must be said to lie where the index has them, or PostgreSQL would sort.
    return order.nulls_last() if down else order.nulls_first()
