"""Find what an address names, as far as the person may see it."""

from __future__ import annotations

from uuid import UUID

from storage_core import backtests
from storage_core.errors import BacktestNotFound
from storage_core.models import Backtest
from webapp.extensions import db
from webapp.login import person


def visible_backtest(task_id: UUID) -> Backtest:
    """The backtest, or BacktestNotFound: also when it is somebody else's, so that ids tell nothing."""
    backtest = backtests.get(db.session(), task_id)
    if not person().sees(backtest) or backtest.deleted_at is not None:
        raise BacktestNotFound(task_id)
    return backtest
