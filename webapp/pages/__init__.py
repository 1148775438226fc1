"""The pages: one blueprint a page family, the page and its fragments together."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from flask import Flask

PAGES: Final = (
    "account",
    "accounts",
    "api_docs",
    "backtest",
    "backtests",
    "backtests_bulk",
    "compare",
    "charts",
    "data",
    "data_upload",
    "health",
    "home",
    "keeping",
    "log_in_again",
    "new_backtest",
    "operations",
    "operations_alerts",
    "operations_audit",
    "operations_storage",
    "operations_backups",
    "presets",
    "report",
    "schedules",
    "strategies",
    "telemetry",
    "users",
    "verification",
    "views",
)
"""Modules of this package, each with its `blueprint`."""


def init_app(app: Flask) -> None:
    """Register every page."""
    for name in PAGES:
        app.register_blueprint(import_module(f"webapp.pages.{name}").blueprint)
