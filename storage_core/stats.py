"""How much is stored: results, bytes and trades by strategy, by state and by age, and the largest.

Everything is counted by the database from the rows; no file is touched. Bytes are those of the result files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Engine, case, func, literal, select

from storage_core.backtest_filters import Filters
from storage_core.db import session_scope, utc_now
from storage_core.models import Backtest

AGES = (("1 day", 1), ("7 days", 7), ("30 days", 30), ("90 days", 90), ("365 days", 365))
OLDER = "older"
LARGEST = 10


@dataclass(frozen=True, slots=True)
class Share:
    """One group: how many backtests, the bytes of their files, their trades."""

    name: str
    backtests: int
    bytes: int
    trades: int


@dataclass(frozen=True, slots=True)
class Largest:
    """One of the largest results."""

    task_id: UUID
    strategy: str
    created_at: datetime
    bytes: int
    trades: int


@dataclass(frozen=True, slots=True)
class Stats:
    """`deleted` are those marked, whose files are there until they are purged; they are in no other group."""

    total: Share
    deleted: Share
    by_strategy: Sequence[Share]
    by_status: Sequence[Share]
    by_age: Sequence[Share]
    largest: Sequence[Largest]

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "total": _plain(self.total),
            "deleted": _plain(self.deleted),
            **{
                name: [_plain(share) for share in getattr(self, name)]
                for name in ("by_strategy", "by_status", "by_age")
            },
            "largest": [
                {
                    "task_id": str(one.task_id),
                    "strategy": one.strategy,
                    "created_at": one.created_at.isoformat(),
                    "bytes": one.bytes,
                    "trades": one.trades,
                }
                for one in self.largest
            ],
        }


def storage_stats(
    engine: Engine, filters: Filters | None = None, *, largest: int = LARGEST, now: datetime | None = None
) -> Stats:
    """Count what passes `filters` (None: everything that is not deleted). Raises BadFilter."""
    now = now or utc_now()
    where = (filters or Filters()).conditions(engine.dialect.name)
    ages = _shares(engine, where, _age(now))
    order = [name for name, _ in AGES] + [OLDER]
    return Stats(
        total=_total(engine, where),
        deleted=_total(engine, Filters(deleted=True).conditions(engine.dialect.name)),
        by_strategy=_shares(engine, where, Backtest.strategy),
        by_status=_shares(engine, where, Backtest.status),
        by_age=sorted(ages, key=lambda share: order.index(share.name)),
        largest=_largest(engine, where, largest),
    )


def stored_in_all(engine: Engine) -> Share:
    """Backtests that are not deleted, the bytes of their files, their trades: one number each, for a glance."""
    return _total(engine, Filters().conditions(engine.dialect.name))


def _age(now: datetime) -> ColumnElement[str]:
    """The group of a row by how long ago it was submitted."""
    groups = [(Backtest.created_at > now - timedelta(days=days), literal(name)) for name, days in AGES]
    return case(*groups, else_=literal(OLDER))


def _total(engine: Engine, where: list[ColumnElement[bool]]) -> Share:
    found = _shares(engine, where, literal("total"))
    return found[0] if found else Share("total", 0, 0, 0)


def _shares(engine: Engine, where: list[ColumnElement[bool]], by: Any) -> list[Share]:
    """The groups of `by`, the largest first."""
    rows = select(by.label("name"), Backtest.file_size, Backtest.record_count).where(*where).subquery()
    size, trades = func.coalesce(func.sum(rows.c.file_size), 0), func.coalesce(func.sum(rows.c.record_count), 0)
    query = select(rows.c.name, func.count(), size, trades).group_by(rows.c.name).order_by(size.desc(), rows.c.name)
    with session_scope(engine) as session:
        return [Share(name, count, int(size), int(trades)) for name, count, size, trades in session.execute(query)]


def _largest(engine: Engine, where: list[ColumnElement[bool]], count: int) -> list[Largest]:
    columns = (Backtest.task_id, Backtest.strategy, Backtest.created_at, Backtest.file_size, Backtest.record_count)
    query = select(*columns).where(*where, Backtest.file_size.is_not(None))
    order = query.order_by(Backtest.file_size.desc(), Backtest.task_id).limit(count)
    with session_scope(engine) as session:
        return [Largest(*row[:3], row[3] or 0, row[4] or 0) for row in session.execute(order)]


def _plain(share: Share) -> dict[str, Any]:
    return {"name": share.name, "backtests": share.backtests, "bytes": share.bytes, "trades": share.trades}
