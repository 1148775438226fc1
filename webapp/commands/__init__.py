"""The `flask` commands of the product: names and dotted paths, loaded when one is called."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Final

import click
from flask import Flask
from flask.cli import AppGroup

# A web process serves pages and calls none of these; loading them all would cost it 30 MB.
COMMANDS: Final[Mapping[str, str]] = {
    "up": "up:up",
    "env-file": "settings:env_file",
    "new-strategy": "strategies:new_strategy",
    "check-strategy": "strategies:check_strategy",
    "backup": "backup:backup",
    "setup-link": "accounts:setup_link",
    "create-user": "accounts:create_user",
    "create-token": "accounts:create_token",
    "reset-link": "accounts:reset_link",
    "migrate-results": "results:migrate_results",
    "rollback-results": "results:rollback_results",
    "repair-results": "repair:repair_results",
    "reconcile-results": "store:reconcile_results",
    "verify-results": "store:verify_results",
    "cleanup-results": "store:cleanup_results",
    "undelete-results": "store:undelete_results",
    "copy-database": "database:copy_database",
    "storage-stats": "store:storage_stats",
    "export-results": "store_export:export_results",
    "benchmark-storage": "store_export:benchmark_storage",
    "queue-status": "queue:queue_status",
    "bars": "bars:bars",
    "openapi": "description:openapi",
    "dead-letters": "queue:dead_letters",
    "verify": "queue:verify",
}
OF_LIBRARIES: Final[Mapping[str, str]] = {"db": "borrowed:migrations"}
_ALL: Final[Mapping[str, str]] = {**COMMANDS, **OF_LIBRARIES}


class Commands(AppGroup):
    """Flask's own group with ours beside it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_ALL})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _ALL:
            return super().get_command(ctx, cmd_name)
        module, _, function = _ALL[cmd_name].partition(":")
        command: click.Command = getattr(import_module(f"webapp.commands.{module}"), function)
        return command


def init_app(app: Flask) -> None:
    """Make the commands known to `flask`, beside those that extensions have added."""
    group = Commands(app.name)
    group.commands.update(app.cli.commands)
    app.cli = group
