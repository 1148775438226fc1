"""An index of backtests with several symbols on SQLite, whose list looks for one of them.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLE = "backtest_results"
SEVERAL, BY_SHARPE = "ix_backtest_results_held_several_plain", "ix_backtest_results_strategy_sharpe_plain"


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        columns = [sa.text(column) for column in ("created_at DESC", "task_id DESC", "symbols", "deleted_at")]
        op.create_index(SEVERAL, TABLE, columns, sqlite_where=sa.text("json_array_length(symbols) > 1"))
        op.drop_index(BY_SHARPE, TABLE)  # the list walks all strategies by Sharpe ratio


def downgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        columns = [sa.text(column) for column in ("strategy", "sharpe DESC", "task_id DESC")]
        op.create_index(BY_SHARPE, TABLE, columns, sqlite_where=sa.text("status = 'completed'"))
        op.drop_index(SEVERAL, TABLE)
