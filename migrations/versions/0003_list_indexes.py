"""Indexes for the list: rows with a note, pinned rows, tags.

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-20
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLE = "backtest_results"
SOME = {"noted": ("note <> ''", "note <> ''"), "pinned": ("pinned", "pinned = 1")}


def upgrade() -> None:
    newest = [sa.text("created_at DESC"), sa.text("task_id DESC")]
    for name, (postgresql, sqlite) in SOME.items():
        where = {"postgresql_where": sa.text(postgresql), "sqlite_where": sa.text(sqlite)}
        op.create_index(f"ix_{TABLE}_{name}", TABLE, newest, **where)
    if op.get_context().dialect.name == "postgresql":
        op.create_index(
            f"ix_{TABLE}_tags", TABLE, ["tags"], postgresql_using="gin", postgresql_ops={"tags": "jsonb_path_ops"}
        )


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.drop_index(f"ix_{TABLE}_tags", TABLE)
    for name in SOME:
        op.drop_index(f"ix_{TABLE}_{name}", TABLE)
