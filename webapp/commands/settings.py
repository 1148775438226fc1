"""`flask env-file`: every setting, explained, as an environment file."""

from __future__ import annotations

import click

from storage_core.env_file import env_file as text_of_it


@click.command("env-file")
def env_file() -> None:
    """Print an environment file with every setting explained.

    \b
    Example: flask env-file > .env
    """
    click.echo(text_of_it(), nl=False)
