"""First tables: accounts, backtests and their events.

Revision ID: 0001
Revises:
Create Date: 2026-11-20
"""

import sqlalchemy as sa
from alembic import op

from storage_core.db import JsonB, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TOUCHED = ("users", "backtest_results")
METRICS = (
    "total_return_pct", "cagr_pct", "volatility_pct", "sharpe", "sortino", "calmar", "max_drawdown_pct",
    "win_rate_pct", "profit_factor", "trade_count", "exposure_pct", "final_equity", "buy_and_hold_return_pct",
    "expectancy", "sqn", "average_trade_pct", "fees",
)


def upgrade() -> None:
    create_users()
    create_backtests()
    create_events()
    create_indexes()
    if op.get_context().dialect.name == "postgresql":
        create_postgresql_indexes()
        create_triggers()
    else:
        create_sqlite_indexes()


def downgrade() -> None:
    op.drop_table("backtest_events")
    op.drop_table("backtest_results")
    op.drop_table("users")
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION coin_hts_touch()")


def create_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("timezone", sa.String(60), nullable=False),
        sa.Column("theme", sa.String(10), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("last_login_at", UtcDateTime()),
        sa.CheckConstraint("role IN ('viewer', 'trader', 'admin')", name=op.f("ck_users_role")),
        sa.CheckConstraint("theme IN ('auto', 'light', 'dark')", name=op.f("ck_users_theme")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
    )


def create_backtests() -> None:
    op.create_table(
        "backtest_results",
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("strategy", sa.String(100), nullable=False),
        sa.Column("symbols", JsonB, nullable=False),
        sa.Column("start_date", sa.Date(), nullable=False),
        sa.Column("end_date", sa.Date(), nullable=False),
        sa.Column("timeframe", sa.String(10), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("parquet_path", sa.String(500)),
        sa.Column("file_size", sa.BigInteger()),
        sa.Column("record_count", sa.Integer()),
        sa.Column("metadata", JsonB, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("params", JsonB, nullable=False),
        sa.Column("spec", JsonB, nullable=False),
        sa.Column("owner_id", sa.Integer()),
        sa.Column("source", sa.String(20), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.Column("tags", JsonB, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("phase", sa.String(40), nullable=False),
        sa.Column("queued_at", UtcDateTime(), nullable=False),
        sa.Column("sent_at", UtcDateTime()),
        sa.Column("heartbeat_at", UtcDateTime()),
        sa.Column("started_at", UtcDateTime()),
        sa.Column("finished_at", UtcDateTime()),
        sa.Column("error_code", sa.String(60)),
        sa.Column("error_message", sa.Text()),
        sa.Column("cancel_requested_at", UtcDateTime()),
        *(sa.Column(name, sa.Integer() if name == "trade_count" else sa.Double()) for name in METRICS),
        sa.Column("sparkline", JsonB),
        sa.Column("lookahead_ok", sa.Boolean()),
        sa.Column("run_key", sa.String(64)),
        sa.Column("data_fingerprint", sa.String(64)),
        sa.Column("code_version", sa.String(100)),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("legacy_sha256", sa.String(64)),
        sa.Column("deleted_at", UtcDateTime()),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'completed', 'failed', 'cancelled')",
            name=op.f("ck_backtest_results_status"),
        ),
        sa.CheckConstraint("start_date <= end_date", name=op.f("ck_backtest_results_dates")),
        sa.CheckConstraint("progress >= 0 AND progress <= 1", name=op.f("ck_backtest_results_progress")),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_backtest_results")),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_backtest_results_owner_id"), ondelete="SET NULL"
        ),
        sa.UniqueConstraint("legacy_sha256", name=op.f("uq_backtest_results_legacy_sha256")),
    )


def create_events() -> None:
    op.create_table(
        "backtest_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("attempt", sa.Integer()),
        sa.Column("actor", sa.String(100), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("detail", JsonB, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backtest_events")),
        sa.ForeignKeyConstraint(
            ["task_id"],
            ["backtest_results.task_id"],
            name=op.f("fk_backtest_events_task_id"),
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_backtest_events_task_id_id", "backtest_events", ["task_id", "id"])


def create_indexes() -> None:
    newest = ("created_at DESC", "task_id DESC")
    index("newest", *newest)
    index("strategy_status_newest", "strategy", "status", *newest)
    index("owner_newest", "owner_id", *newest)
    index("unfinished", "status", "created_at DESC", where="status <> 'completed'")
    index("deleted", "deleted_at", where="deleted_at IS NOT NULL")


def create_postgresql_indexes() -> None:
    best = ("sharpe DESC NULLS LAST", "task_id DESC")
    completed = "status = 'completed'"
    index("sharpe", *best, where=completed, postgresql_include=["total_return_pct"])
    index("strategy_sharpe", "strategy", *best, where=completed)
    index("return", "total_return_pct", where=completed, postgresql_include=["sharpe"])
    index("symbols", "symbols", postgresql_using="gin", postgresql_ops={"symbols": "jsonb_path_ops"})


def create_sqlite_indexes() -> None:
    best = ("sharpe DESC", "task_id DESC")  # no NULLS LAST in an index there; nulls are smallest, so last anyway
    index("sharpe_plain", *best, where="status = 'completed'")
    index("strategy_sharpe_plain", "strategy", *best, where="status = 'completed'")


def create_triggers() -> None:
    op.execute(
        "CREATE FUNCTION coin_hts_touch() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.updated_at = clock_timestamp(); RETURN NEW; END $$"
    )
    for table in TOUCHED:
        op.execute(
            f"CREATE TRIGGER {table}_touch BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION coin_hts_touch()"
        )


def index(name: str, *columns: str, where: str | None = None, **options: object) -> None:
    keys = [sa.text(column) if " " in column else column for column in columns]
    if where is not None:
        options |= {"postgresql_where": sa.text(where), "sqlite_where": sa.text(where)}
    op.create_index(f"ix_backtest_results_{name}", "backtest_results", keys, **options)
