"""Which backtests an operator's command works on, and walking through them with little memory.

Rows come in the order of their ids, a few at a time, in short transactions: a command that runs for an hour holds
nothing that a save waits for, and rows that are deleted meanwhile disturb nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from uuid import UUID

from sqlalchemy import ColumnElement, Engine, func, select

from storage_core.backtest_filters import Filters
from storage_core.db import session_scope
from storage_core.models import Backtest

IDS_AT_ONCE, ROWS_AT_ONCE = 5_000, 100


@dataclass(frozen=True, slots=True)
class Sample:
    """One of `parts` parts of all results, by their ids: with `turn` 0, 1, ... in turn all of them are seen."""

    parts: int
    turn: int

    def has(self, task_id: UUID) -> bool:
        """Whether this result belongs to the sample."""
        return task_id.int % self.parts == self.turn % self.parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The backtests that pass `filters`, of `task_ids` only when some are given, and in the `sample` if there is one.

    Those marked deleted are chosen only by `filters.deleted`.
    """

    filters: Filters = field(default_factory=Filters)
    task_ids: tuple[UUID, ...] = ()
    sample: Sample | None = None

    def conditions(self, dialect: str) -> list[ColumnElement[bool]]:
        """The conditions for the database of this `dialect`; the sample is not among them. Raises BadFilter."""
        found = self.filters.conditions(dialect)
        return [*found, Backtest.task_id.in_(self.task_ids)] if self.task_ids else found


def count(engine: Engine, choice: Choice) -> int:
    """How many rows are chosen; with a sample, about how many."""
    query = select(func.count()).select_from(Backtest).where(*choice.conditions(engine.dialect.name))
    with session_scope(engine) as session:
        found = session.scalar(query) or 0
    return found if choice.sample is None else -(-found // choice.sample.parts)


def walk(engine: Engine, choice: Choice) -> Iterator[Backtest]:
    """The chosen rows, whole, in the order of their ids."""
    ids = walk_ids(engine, choice)
    while some := list(islice(ids, ROWS_AT_ONCE)):
        with session_scope(engine) as session:
            query = select(Backtest).where(Backtest.task_id.in_(some)).order_by(Backtest.task_id)
            rows = session.scalars(query).all()
        yield from rows


def walk_ids(engine: Engine, choice: Choice) -> Iterator[UUID]:
    """The ids of the chosen rows, in order."""
    wanted = select(Backtest.task_id).where(*choice.conditions(engine.dialect.name))
    last = None
    while True:
        query = wanted if last is None else wanted.where(Backtest.task_id > last)
        with session_scope(engine) as session:
            ids = session.scalars(query.order_by(Backtest.task_id).limit(IDS_AT_ONCE)).all()
        for task_id in ids:
            if choice.sample is None or choice.sample.has(task_id):
                yield task_id
        if len(ids) < IDS_AT_ONCE:
            return
        last = ids[-1]


def unknown_ids(engine: Engine, choice: Choice) -> list[UUID]:
    """Those of `task_ids` that name no row at all."""
    if not choice.task_ids:
        return []
    with session_scope(engine) as session:
        known = set(session.scalars(select(Backtest.task_id).where(Backtest.task_id.in_(choice.task_ids))))
    return [task_id for task_id in choice.task_ids if task_id not in known]
