"""The list of people's own strategies: written by the workers that load them, read by the web."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from storage_core.db import insert_into, take_turns, utc_now
from storage_core.models import CustomStrategy

_FACTS = ("label", "help", "params", "source", "sha256", "error")


def publish(session: Session, strategies: Sequence[CustomStrategy]) -> None:
    """Make `strategies` the whole list. Does not commit.

    Workers that publish at once take turns, or the list would hold what each of them saw.
    """
    take_turns(session, "custom strategies")
    session.execute(delete(CustomStrategy).where(CustomStrategy.name.not_in([one.name for one in strategies])))
    known = {strategy.name: facts(strategy) for strategy in listed(session)}
    for strategy in strategies:
        if known.get(strategy.name) != facts(strategy):
            _write(session, strategy)


def listed(session: Session) -> list[CustomStrategy]:
    """Every strategy of people's own, the broken ones included, by name."""
    return list(session.scalars(select(CustomStrategy).order_by(CustomStrategy.name)))


def _write(session: Session, strategy: CustomStrategy) -> None:
    values = {name: getattr(strategy, name) for name in (*_FACTS, "name")} | {"loaded_at": utc_now()}
    row = insert_into(session, CustomStrategy).values(**values)
    session.execute(row.on_conflict_do_update(index_elements=["name"], set_=values))


def facts(strategy: CustomStrategy) -> tuple[Any, ...]:
    """What makes two entries the same."""
    return tuple(getattr(strategy, name) for name in _FACTS)
