"""What each result is kept as: Parquet, JSON, or both.

Revision ID: 0005
Revises: 0004
Create Date: 2026-11-20
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLE = "backtest_results"
INDEX = f"ix_{TABLE}_stores"


def upgrade() -> None:
    op.add_column(TABLE, sa.Column("stores", sa.String(20), nullable=False, server_default="parquet"))
    where = sa.text("status = 'completed' AND deleted_at IS NULL")
    op.create_index(INDEX, TABLE, ["stores"], postgresql_where=where, sqlite_where=where)


def downgrade() -> None:
    op.drop_index(INDEX, TABLE)
    op.drop_column(TABLE, "stores")
