"""The web: requests into calls, results into HTML or JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask

from storage_core.settings import Settings

if TYPE_CHECKING:
    from flask_openapi3 import OpenAPI


def create_app(settings: Settings | None = None) -> OpenAPI:
    """Build the application; `settings` None reads them from the environment."""
    from webapp.application import application

    return application(settings or Settings.from_env())


def create_console(settings: Settings | None = None) -> Flask:
    """Build what the commands need of it, in half of the time: settings, database, commands; no pages, no API."""
    from webapp import commands, extensions, language

    app = Flask("webapp", static_folder=None)
    extensions.configure(app, settings or Settings.from_env())
    extensions.add_database(app)
    language.init_app(app)
    commands.init_app(app)
    return app
