"""The description of the JSON API, without a server."""

from __future__ import annotations

import json

import click
from flask.cli import with_appcontext

from webapp.extensions import settings


@click.command("openapi")
@click.option("--indent", type=click.IntRange(0, 8), default=2, show_default=True, help="Spaces before each level.")
@with_appcontext
def openapi(indent: int) -> None:
    """Print the description of the JSON API, as /api/v1/openapi.json serves it (OpenAPI 3.1).

    Example: flask openapi > openapi.json
    """
    from webapp import create_app
    from webapp.api.description import describe

    with (app := create_app(settings())).app_context():
        click.echo(json.dumps(describe(app), indent=indent, ensure_ascii=False))
