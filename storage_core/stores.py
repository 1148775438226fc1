"""What results are kept as, counted: how many still miss the Parquet, or the JSON, that the storage mode asks for."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage_core import modes
from storage_core.backtest_filters import COMPLETED
from storage_core.models import Backtest


def kept_as(session: Session) -> dict[modes.Stores, int]:
    """How many completed results are kept as "json", "parquet" and "json+parquet"; answered by an index alone."""
    rows = session.execute(
        select(Backtest.stores, func.count()).where(COMPLETED, Backtest.deleted_at.is_(None)).group_by(Backtest.stores)
    )
    return dict.fromkeys(("json", "parquet", "json+parquet"), 0) | dict(rows.all())


def missing(session: Session, mode: str) -> dict[str, int]:
    """Of each side that `mode` asks for: how many completed results do not have it. `repair` writes it."""
    found = kept_as(session)
    return {
        side: sum(count for stores, count in found.items() if side not in modes.sides_of(stores))
        for side in modes.MODES[mode]
    }
