"""The `flask` commands of the product."""

from __future__ import annotations

from flask import Flask


def init_app(app: Flask) -> None:
    """Register every command."""
    from webapp.commands import accounts, queue, repair, results, store, store_export, strategies, up

    for command in (
        up.up,
        strategies.new_strategy,
        strategies.check_strategy,
        accounts.setup_link,
        accounts.create_user,
        accounts.create_token,
        results.migrate_results,
        results.rollback_results,
        repair.repair_results,
        store.reconcile_results,
        store.verify_results,
        store.cleanup_results,
        store.undelete_results,
        store.storage_stats,
        store_export.export_results,
        store_export.benchmark_storage,
        queue.dead_letters,
        queue.verify,
    ):
        app.cli.add_command(command)
