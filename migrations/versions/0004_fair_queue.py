"""The place in line of a queued backtest, attempts that do not count, and the index of what was already run.

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-20
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLE = "backtest_results"
INDEXES = {
    "turn": (["turn", "queued_at"], "status = 'queued'"),
    "flow": (["owner_id", "lane", "turn"], "status = 'queued'"),
    "run_key": (["run_key"], "run_key IS NOT NULL"),
}


def upgrade() -> None:
    op.add_column(TABLE, sa.Column("lane", sa.String(10), nullable=False, server_default="short"))
    op.add_column(TABLE, sa.Column("turn", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column(TABLE, sa.Column("excused", sa.Integer(), nullable=False, server_default="0"))
    for name, (columns, where) in INDEXES.items():
        condition = sa.text(where)
        op.create_index(f"ix_{TABLE}_{name}", TABLE, columns, postgresql_where=condition, sqlite_where=condition)


def downgrade() -> None:
    for name in INDEXES:
        op.drop_index(f"ix_{TABLE}_{name}", TABLE)
    for column in ("excused", "turn", "lane"):
        op.drop_column(TABLE, column)
