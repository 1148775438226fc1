"""The whole application: pages, fragments and API with everything around them."""

from __future__ import annotations

from pathlib import Path

from flask_openapi3 import Info, OpenAPI

from storage_core.settings import Settings
from webapp import (
    api,
    assets,
    commands,
    errors,
    extensions,
    filters,
    language,
    login,
    pages,
    request_log,
    security,
    templating,
    uploads,
)
from webapp.api import limits
from webapp.request_counts import RequestCounts

ROOT = Path(__file__).resolve().parent.parent


def application(settings: Settings) -> OpenAPI:
    """Build it."""
    app = OpenAPI(
        "webapp",
        info=Info(title="coin-hts", version="1", description="Submit, follow and read backtests."),
        template_folder=str(ROOT / "templates"),
        static_folder=None,  # assets.py serves them
        doc_ui=False,
        validation_error_callback=api.invalid_request,
    )
    extensions.configure(app, settings)
    app.extensions["request_counts"] = counts = RequestCounts()
    request_log.init_app(app, counts.observe)
    # Flask runs after_request functions last to first: the headers come last, also on what the others answer.
    security.init_app(app)
    assets.init_app(app, ROOT / "static")
    extensions.init_app(app)
    uploads.init_app(app)  # before the login, which looks into the form
    limits.init_app(app)  # before the login, which the preflight of another site cannot have
    login.init_app(app)
    language.init_app(app)
    errors.init_app(app)
    filters.init_app(app)
    templating.init_app(app)
    pages.init_app(app)
    api.init_app(app)
    commands.init_app(app)
    return app
