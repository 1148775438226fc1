"""The list of people's own strategies: written by the workers that load them, read by the web."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from storage_core.models import CustomStrategy


def publish(session: Session, strategies: Sequence[CustomStrategy]) -> None:
    """Make `strategies` the whole list. Does not commit; two workers that publish at once write the same rows."""
    names = [strategy.name for strategy in strategies]
    session.execute(delete(CustomStrategy).where(CustomStrategy.name.not_in(names)))
    for strategy in strategies:
        known = session.get(CustomStrategy, strategy.name)
        if known is None or facts(known) != facts(strategy):
            session.merge(strategy)


def listed(session: Session) -> list[CustomStrategy]:
    """Every strategy of people's own, the broken ones included, by name."""
    return list(session.scalars(select(CustomStrategy).order_by(CustomStrategy.name)))


def facts(strategy: CustomStrategy) -> tuple[Any, ...]:
    """What makes two entries the same."""
    return (strategy.label, strategy.help, strategy.params, strategy.source, strategy.sha256, strategy.error)
