"""What every template can use besides the filters."""

from __future__ import annotations

import json
from typing import Any, Final

from flask import Flask, current_app
from flask_login import current_user
from jinja2 import StrictUndefined

from storage_core import alerts, backtests
from webapp.catalog import broken_strategies, own_strategies
from webapp.context.operations import Tab, ctx_tabs
from webapp.extensions import db, settings
from webapp.phrases import said
from webapp.presets import chosen_preset, presets_of
from webapp.script_words import script_words

HTMX_CONFIG: Final = json.dumps(
    {
        "includeIndicatorStyles": False,
        "allowEval": False,
        "selfRequestsOnly": True,
        "historyCacheSize": 0,  # pages are private: nothing of them is kept in the browser's storage
        "refreshOnHistoryMiss": True,
        "scrollIntoViewOnBoost": False,
        "disableInheritance": True,  # what an element asks for, and what it switches off meanwhile, stands on itself
        "responseHandling": [
            {"code": "204", "swap": False},
            {"code": "[23]..", "swap": True},
            {"code": "422", "swap": True},
            {"code": "...", "swap": False, "error": True},
        ],
    },
    separators=(",", ":"),
)


def zone() -> str:
    """The time zone of the logged-in person, else that of the installation."""
    chosen: str | None = getattr(current_user, "timezone", None)
    return chosen or settings().timezone


def queue_counts() -> dict[str, int]:
    """Running and queued backtests, for the header."""
    return backtests.counts(db.session())


def operations_tabs() -> list[Tab]:
    """The parts of the operations that this application has."""
    return ctx_tabs(current_app.view_functions, admin=current_user.is_admin)


def open_alert_count() -> int:
    """How many alerts are open, for the header; answered by an index of the open ones."""
    return sum(alerts.count_open(db.session()).values())


def init_app(app: Flask) -> None:
    """Make undefined names an error and share what pages have in common."""
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters["said"] = said

    @app.context_processor
    def common() -> dict[str, Any]:
        return {
            "htmx_config": HTMX_CONFIG,
            "zone": zone(),
            "script_words": script_words,
            "queue_counts": queue_counts,
            "operations_tabs": operations_tabs,
            "open_alert_count": open_alert_count,
            "own_strategies": own_strategies,
            "broken_strategies": broken_strategies,
            "presets_of": presets_of,
            "chosen_preset": chosen_preset,
        }
