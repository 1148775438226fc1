"""Accounts from the terminal."""

from __future__ import annotations

import sys

import click
from flask.cli import with_appcontext

from storage_core import accounts
from storage_core.errors import AccountError
from storage_core.models import ROLES
from webapp.extensions import db, settings


@click.command("setup-link")
@with_appcontext
def setup_link() -> None:
    """Print the one-time link that creates the first account."""
    if not accounts.needs_setup(db.session()):
        raise click.ClickException("The first account exists already. More people: flask create-user NAME")
    here = settings()
    host = f"[{here.host}]" if ":" in here.host else here.host
    click.echo(f"http://{host}:{here.port}/setup?token={accounts.setup_token(here)}")


@click.command("create-user")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="trader", show_default=True, help="What the person may do.")
@click.option(
    "--timezone", default=None, help="Time zone the person sees times in; that of the installation if left out."
)
@with_appcontext
def create_user(name: str, role: str, timezone: str | None) -> None:
    """Create an account for NAME. The password is asked for, or read from standard input.

    Example: flask create-user ada --role viewer
    """
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    try:
        user = accounts.create_user(
            db.session(), name=name, password=password, role=role, timezone=timezone or settings().timezone
        )
    except AccountError as error:
        raise click.ClickException(f"{error}") from error
    db.session.commit()
    click.echo(f"Created {user.name} with the role {user.role}.")
