"""Which backtests a list shows: one set of filters for the page, the API and the exports."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Text, and_, false, func, literal, literal_column, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute

from storage_core.db import JsonB, to_json
from storage_core.errors import BadFilter
from storage_core.models import STATUSES, Backtest
from storage_core.models.backtest import COLLATIONS, METRIC_COLUMNS, NOTE_START, SYMBOLS_START
from storage_core.unindexed import unindexed

Range = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What must hold for a row to be listed; an empty field asks for nothing.

    `task_ids` not None = only those. A row must have one of the `strategies`, `statuses`, `timeframes` and `sources`,
    hold one of the `symbols` and all of the `tags`. `submitted_from` <= created_at < `submitted_to`; the tested period
    lies within `period_from` and `period_to`; each metric (stored name) within its (lowest, highest), both inclusive;
    `text` stands in the note. `owner_id` = only what that person submitted; `visible_to` = what that person sees: that,
    what is shared, and what belongs to nobody.
    """

    task_ids: Sequence[UUID] | None = None
    owner_id: int | None = None
    visible_to: int | None = None
    strategies: Sequence[str] = ()
    statuses: Sequence[str] = ()
    symbols: Sequence[str] = ()
    timeframes: Sequence[str] = ()
    tags: Sequence[str] = ()
    sources: Sequence[str] = ()
    pinned: bool | None = None
    shared: bool | None = None
    submitted_from: datetime | None = None
    submitted_to: datetime | None = None
    period_from: date | None = None
    period_to: date | None = None
    metrics: Mapping[str, Range] = field(default_factory=dict)
    text: str = ""
    deleted: bool = False

    def conditions(self, dialect: str) -> list[ColumnElement[bool]]:
        """The conditions for the database of this `dialect` ("postgresql" or "sqlite"). Raises BadFilter."""
        found = self._conditions(dialect)
        return found if self.visible_to is None else [*found, or_(Backtest.owner_id == self.visible_to, FOR_ALL)]

    def parts(self, dialect: str) -> list[list[ColumnElement[bool]]]:
        """The same rows in one or two parts that have none in common, each with an index to walk it. Raises BadFilter.

        Two with `visible_to`: their own, and what is there for everybody else.
        """
        found = self._conditions(dialect)
        if self.visible_to is None:
            return [found]
        own = Backtest.owner_id == self.visible_to
        others = or_(Backtest.owner_id.is_(None), Backtest.owner_id != self.visible_to)
        besides = [unindexed(condition) for condition in found] if dialect == "sqlite" else found
        return [[*found, own], [*besides, FOR_ALL, others]]

    def halves(self, part: list[ColumnElement[bool]], dialect: str) -> list[list[ColumnElement[bool]]]:
        """The same rows as `part`, by indexes of what the symbols are.

        PostgreSQL has one index of them. SQLite has one for those with a symbol alone, and one for those with more.
        """
        if dialect == "postgresql" or not self.symbols:
            return [part]
        text, alone = listed_text("symbols", dialect), [to_json([symbol]) for symbol in self.symbols]
        besides = [unindexed(condition) for condition in part]
        return [[*besides, *_one_of(text, alone)], [*besides, SEVERAL_SYMBOLS, text.not_in(alone)]]

    def bounds(self, column: str) -> tuple[Any, Any]:
        """Between which values of this column (both inclusive, None: open) all rows lie that pass."""
        words = {
            "strategy": self.strategies,
            "status": self.statuses,
            "timeframe": self.timeframes,
            "source": self.sources,
        }
        if wanted := words.get(column):
            return min(wanted), max(wanted)
        ranges: dict[str, tuple[Any, Any]] = {
            "created_at": (self.submitted_from, self.submitted_to),
            "start_date": (self.period_from, None),
            "end_date": (None, self.period_to),
            "owner_id": (self.owner_id, self.owner_id),
        }
        return ranges.get(column) or self.metrics.get(column, (None, None))

    def strewn(self, dialect: str, *, newest: bool) -> bool:
        """Whether the rows that pass may lie anywhere along an order: that by submit date (`newest`), or another.

        Newest first, a single strategy, say, has an index; several, or the range of a metric, have none.
        """
        if not newest:
            return self != Filters()
        several = any(len(words) > 1 for words in (self.strategies, self.timeframes, self.sources))
        of_list = dialect == "postgresql" and (self.symbols or self.tags)
        return bool(several or self.metrics or of_list)

    def _conditions(self, dialect: str) -> list[ColumnElement[bool]]:
        if unknown := [status for status in self.statuses if status not in STATUSES]:
            raise BadFilter("status", unknown[0], ", ".join(STATUSES))
        deleted = Backtest.deleted_at
        found: list[ColumnElement[bool]] = [deleted.is_not(None) if self.deleted else deleted.is_(None)]
        if self.task_ids is not None:
            found.append(Backtest.task_id.in_(self.task_ids))
        found += _one_of(Backtest.owner_id, () if self.owner_id is None else (self.owner_id,))
        found += _one_of(_word(Backtest.strategy, dialect), self.strategies)
        found += _one_of(Backtest.status, [_inline(status) for status in self.statuses])
        if self.statuses and "completed" not in self.statuses:
            found.append(UNFINISHED)
        found += _one_of(_word(Backtest.timeframe, dialect), self.timeframes)
        found += _one_of(_word(Backtest.source, dialect), self.sources)
        if self.symbols:
            found.append(or_(*(_holds(Backtest.symbols, symbol, dialect) for symbol in self.symbols)))
        found += [_holds(Backtest.tags, tag, dialect) for tag in self.tags]
        found += _is(Backtest.pinned, self.pinned) + _is(Backtest.shared, self.shared)
        if self.shared is not None:
            found.append(Backtest.shared == (true() if self.shared else false()))
        found += _within(Backtest.created_at, self.submitted_from, None)
        if self.submitted_to is not None:
            found.append(Backtest.created_at < self.submitted_to)
        found += _within(Backtest.start_date, self.period_from, None) + _within(Backtest.end_date, None, self.period_to)
        for name, (lowest, highest) in self.metrics.items():
            found += _metric_within(name, lowest, highest)
        if text := self.text.strip().replace("\x00", ""):
            # Few rows have a note, and those have an index: the first condition is what lets it be used.
            found += [HAS_NOTE, Backtest.note.icontains(text, autoescape=True)]
        return found


def metric_column(name: str) -> InstrumentedAttribute[float | None]:
    """The column of a metric by its stored name; raises BadFilter."""
    if name not in METRIC_COLUMNS:
        raise BadFilter("metric", name, ", ".join(METRIC_COLUMNS))
    column: InstrumentedAttribute[float | None] = getattr(Backtest, name)
    return column


def _inline(value: str) -> ColumnElement[str]:
    """Text that stands in the statement itself: a plan for any parameter could not use a partial index."""
    return literal(value, literal_execute=True)


COMPLETED: ColumnElement[bool] = Backtest.status == _inline("completed")
"""Only completed rows have metrics; saying so lets the partial indexes be used."""
UNFINISHED: ColumnElement[bool] = Backtest.status != _inline("completed")
"""Said beside any other state: SQLite does not see by itself that the index of such rows can be used."""
HAS_NOTE: ColumnElement[bool] = Backtest.note != _inline("")
HAS_NO_NOTE: ColumnElement[bool] = Backtest.note == _inline("")
SEVERAL_SYMBOLS: ColumnElement[bool] = func.json_array_length(Backtest.symbols) > literal(1, literal_execute=True)
"""What an index of SQLite has: of one symbol alone the beginning of the list tells it."""
FOR_ALL: ColumnElement[bool] = or_(Backtest.shared == true(), Backtest.owner_id.is_(None))
"""What everybody sees: what its owner shares, and what belongs to nobody, as the sample does."""


def listed_text(name: str, dialect: str) -> ColumnElement[str]:
    """A column with text (`symbols` and `note`: its beginning) as the indexes have it that order a list."""
    starts = {"symbols": SYMBOLS_START[dialect], "note": NOTE_START}
    text = literal_column(starts[name], Text()) if name in starts else getattr(Backtest, name)
    collated: ColumnElement[str] = text.collate(COLLATIONS[dialect])
    return collated


def _word(column: InstrumentedAttribute[str], dialect: str) -> Any:
    """Of a word and submit date SQLite has an index only with the collation of the list."""
    return column.collate(COLLATIONS[dialect]) if dialect == "sqlite" else column


def _one_of(
    column: ColumnElement[Any] | InstrumentedAttribute[Any], values: Sequence[object]
) -> list[ColumnElement[bool]]:
    if len(values) == 1:
        return [column == values[0]]  # an equality lets an index that goes on with created_at keep the order
    return [column.in_(values)] if values else []


def _is(column: InstrumentedAttribute[bool], wanted: bool | None) -> list[ColumnElement[bool]]:
    return [] if wanted is None else [column == (true() if wanted else false())]


def _within(column: Any, lowest: object, highest: object) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [] if lowest is None else [column >= lowest]
    return found if highest is None else [*found, column <= highest]


def _metric_within(name: str, lowest: float | None, highest: float | None) -> list[ColumnElement[bool]]:
    for bound in (lowest, highest):
        if bound is not None and math.isnan(bound):
            raise BadFilter(name, bound, "numbers")
    return [COMPLETED, *_within(metric_column(name), lowest, highest)]


def _holds(column: InstrumentedAttribute[list[str]], value: str, dialect: str) -> ColumnElement[bool]:
    """Whether a JSON list holds a text."""
    if dialect == "postgresql":
        return column.op("@>")(literal([value], JsonB))
    each = func.json_each(column).table_valued("value")
    exact = select(true()).select_from(each).where(each.c.value == value).exists()
    # Nearly all rows are told by their text alone, which an index has; a quote inside a tag must not deceive.
    return and_(func.instr(column, to_json(value), type_=Integer) > 0, exact)
