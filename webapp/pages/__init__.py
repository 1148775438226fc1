"""The pages: one blueprint a page family, the page and its fragments together."""

from __future__ import annotations

from flask import Flask


def init_app(app: Flask) -> None:
    """Register every page."""
    from webapp.pages import account, accounts, api_docs, backtest, backtests, charts, health, home, new_backtest

    for module in (account, accounts, api_docs, backtest, backtests, charts, health, home, new_backtest):
        app.register_blueprint(module.blueprint)
