"""Jobs, presets, schedules, saved views, the audit log, alerts, signs of life, sharing, languages, ended sessions.

Revision ID: 0007
Revises: 0006
Create Date: 2026-11-20
"""

import sqlalchemy as sa
from alembic import op

from storage_core.db import JsonB, UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

NEWEST = [sa.text("created_at DESC"), sa.text("task_id DESC")]
TABLES = ("schedules", "saved_views", "presets", "jobs", "bar_files", "processes", "audit_log", "alerts")

COMPLETED = "status = 'completed'"
METRICS = (
    "total_return_pct", "cagr_pct", "volatility_pct", "sortino", "calmar", "max_drawdown_pct", "win_rate_pct",
    "profit_factor", "trade_count", "exposure_pct", "final_equity", "buy_and_hold_return_pct", "expectancy", "sqn",
    "average_trade_pct", "fees",
)  # fmt: skip
HELD = ("symbols", "tags", "deleted_at")
NEWEST_TEXT = ("created_at DESC", "task_id DESC")
WORDS = ("strategy", "timeframe", "status", "source")
DATES = ("start_date", "end_date")


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("detail", JsonB, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first_at", UtcDateTime(), nullable=False),
        sa.Column("last_at", UtcDateTime(), nullable=False),
        sa.Column("resolved_at", UtcDateTime(), nullable=True),
        sa.Column("told_at", UtcDateTime(), nullable=True),
        sa.Column("told_resolved_at", UtcDateTime(), nullable=True),
        sa.Column("told", JsonB, nullable=False),
        sa.Column("send_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
    )
    op.create_index(op.f("ix_alerts_last_at"), "alerts", ["last_at"])
    op.create_index(
        "uq_alerts_open_key",
        "alerts",
        ["key"],
        unique=True,
        postgresql_where=sa.text("resolved_at IS NULL"),
        sqlite_where=sa.text("resolved_at IS NULL"),
    )

    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("target", sa.String(length=200), nullable=False),
        sa.Column("detail", JsonB, nullable=False),
        sa.Column("address", sa.String(length=60), nullable=False),
        sa.Column("request_id", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index(op.f("ix_audit_log_action_at"), "audit_log", ["action", "at"])
    op.create_index(op.f("ix_audit_log_actor_at"), "audit_log", ["actor", "at"])
    op.create_index(op.f("ix_audit_log_at"), "audit_log", ["at"])

    op.create_table(
        "processes",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(length=100), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=True),
        sa.Column("detail", JsonB, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_processes")),
    )
    op.create_index(op.f("ix_processes_kind_seen_at"), "processes", ["kind", "seen_at"])

    op.create_table(
        "bar_files",
        sa.Column("symbol", sa.String(length=31), nullable=False),
        sa.Column("timeframe", sa.String(length=10), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("quality", JsonB, nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("symbol", "timeframe", name=op.f("pk_bar_files")),
    )

    op.create_table(
        "jobs",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("args", JsonB, nullable=False),
        sa.Column("state", JsonB, nullable=False),
        sa.Column("outcome", JsonB, nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("excused", sa.Integer(), nullable=False),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("phase", sa.String(length=200), nullable=False),
        sa.Column("worker", sa.String(length=255), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("not_before", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("heartbeat_at", UtcDateTime(), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("cancel_requested_at", UtcDateTime(), nullable=True),
        sa.Column("error_code", sa.String(length=60), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'completed', 'failed', 'cancelled')", name=op.f("ck_jobs_status")
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_jobs_owner_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_jobs")),
    )
    op.create_index(op.f("ix_jobs_kind_created_at"), "jobs", ["kind", "created_at"])
    op.create_index(op.f("ix_jobs_status_not_before"), "jobs", ["status", "not_before"])

    op.create_table(
        "presets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("strategy", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("fields", JsonB, nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_presets_owner_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_presets")),
    )
    op.create_index(op.f("ix_presets_owner_id_strategy_name"), "presets", ["owner_id", "strategy", "name"], unique=True)
    op.create_index(op.f("ix_presets_strategy_shared"), "presets", ["strategy", "shared"])

    op.create_table(
        "saved_views",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_saved_views_owner_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_views")),
    )
    op.create_index(op.f("ix_saved_views_owner_id_name"), "saved_views", ["owner_id", "name"], unique=True)

    op.create_table(
        "schedules",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("spec", JsonB, nullable=False),
        sa.Column("every", sa.String(length=10), nullable=False),
        sa.Column("window_days", sa.Integer(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("next_run_at", UtcDateTime(), nullable=False),
        sa.Column("last_run_at", UtcDateTime(), nullable=True),
        sa.Column("last_task_id", sa.Uuid(), nullable=True),
        sa.Column("last_error", sa.String(length=500), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("every IN ('day', 'week')", name=op.f("ck_schedules_every")),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_schedules_owner_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
    )
    op.create_index(op.f("ix_schedules_active_next_run_at"), "schedules", ["active", "next_run_at"])
    op.create_index(op.f("ix_schedules_owner_id"), "schedules", ["owner_id"])

    op.add_column("backtest_results", sa.Column("schedule_id", sa.Integer(), nullable=True))
    op.add_column("backtest_results", sa.Column("shared", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index(
        "ix_backtest_results_schedule",
        "backtest_results",
        ["schedule_id", *NEWEST],
        postgresql_where=sa.text("schedule_id IS NOT NULL"),
        sqlite_where=sa.text("schedule_id IS NOT NULL"),
    )
    op.create_index(
        "ix_backtest_results_for_all",
        "backtest_results",
        NEWEST,
        postgresql_where=sa.text("shared OR owner_id IS NULL"),
        sqlite_where=sa.text("shared = 1 OR owner_id IS NULL"),
    )

    op.add_column("users", sa.Column("language", sa.String(length=8), server_default="", nullable=False))
    op.add_column("users", sa.Column("sessions", sa.Integer(), server_default="0", nullable=False))
    create_orders()


def create_orders() -> None:
    """Indexes that walk the list in the order of any metric, and on SQLite look for symbols and tags on the way."""
    on_sqlite = op.get_context().dialect.name == "sqlite"
    nulls, plain = ("", "_plain") if on_sqlite else (" NULLS LAST", "")
    for name in METRICS:
        index(f"by_{name}{plain}", f"{name} DESC{nulls}", "task_id DESC", where=f"{COMPLETED} AND {name} IS NOT NULL")
    collation = 'COLLATE "RTRIM"' if on_sqlite else 'COLLATE "C"'
    for name in DATES:
        index(f"by_{name}{plain}", f"{name} {collation if on_sqlite else ''} DESC", *NEWEST_TEXT)
    for name, key in texts(on_sqlite=on_sqlite).items():
        where = "note != ''" if name == "note" else None
        index(f"by_{name}{plain}", f"{key} {collation}", *NEWEST_TEXT, where=where)
    if on_sqlite:
        op.drop_index("ix_backtest_results_sharpe_plain", "backtest_results")
        index("sharpe_plain", "sharpe DESC", "task_id DESC", *HELD, "total_return_pct", where=COMPLETED)
        index("held_plain", "created_at DESC", "task_id DESC", *HELD)


def texts(*, on_sqlite: bool) -> dict[str, str]:
    """What the list is ordered by of each column with text; of long ones the beginning, which an index can hold."""
    symbols = "symbols" if on_sqlite else "CAST(symbols AS TEXT)"
    return {**{name: name for name in WORDS}, "symbols": f"substr({symbols}, 1, 100)", "note": "substr(note, 1, 60)"}


def drop_orders() -> None:
    on_sqlite = op.get_context().dialect.name == "sqlite"
    plain = "_plain" if on_sqlite else ""
    if on_sqlite:
        for name in ("held_plain", "sharpe_plain"):
            op.drop_index(f"ix_backtest_results_{name}", "backtest_results")
        index("sharpe_plain", "sharpe DESC", "task_id DESC", where=COMPLETED)
    for name in (*DATES, *texts(on_sqlite=on_sqlite), *METRICS):
        op.drop_index(f"ix_backtest_results_by_{name}{plain}", "backtest_results")


def index(name: str, *columns: str, where: str | None = None) -> None:
    condition = None if where is None else sa.text(where)
    op.create_index(
        f"ix_backtest_results_{name}",
        "backtest_results",
        [sa.text(column) for column in columns],
        postgresql_where=condition,
        sqlite_where=condition,
    )


def downgrade() -> None:
    drop_orders()
    for column in ("sessions", "language"):
        op.drop_column("users", column)
    for name in ("for_all", "schedule"):
        op.drop_index(f"ix_backtest_results_{name}", "backtest_results")
    for column in ("shared", "schedule_id"):
        op.drop_column("backtest_results", column)
    for table in TABLES:
        op.drop_table(table)
