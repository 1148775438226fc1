"""The `flask` commands of the product."""

from __future__ import annotations

from flask import Flask


def init_app(app: Flask) -> None:
    """Register every command."""
    from webapp.commands import accounts, queue, results, strategies, up

    for command in (
        up.up,
        strategies.new_strategy,
        strategies.check_strategy,
        accounts.setup_link,
        accounts.create_user,
        accounts.create_token,
        results.migrate_results,
        results.rollback_results,
        queue.dead_letters,
        queue.verify,
    ):
        app.cli.add_command(command)
