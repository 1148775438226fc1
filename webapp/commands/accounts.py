"""Accounts from the terminal."""

from __future__ import annotations

import re
import sys
from typing import Final

import click
from flask.cli import with_appcontext
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from storage_core import accounts, api_tokens
from storage_core.errors import AccountError
from storage_core.models import ROLES, SCOPES, User
from webapp.extensions import db, settings

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,79}")


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
        user = _add(name, password, role, timezone or settings().timezone)
    except AccountError as error:
        raise click.ClickException(f"{error}") from error
    except IntegrityError as error:
        raise click.ClickException(f"There is an account named {name.strip().lower()} already.") from error
    db.session.commit()
    click.echo(f"Created {user.name} with the role {user.role}.")


@click.command("create-token")
@click.argument("name")
@click.option("--scope", type=click.Choice(SCOPES), default="read", show_default=True, help="What it may do.")
@click.option("--days", type=int, default=api_tokens.DEFAULT_DAYS, show_default=True, help="How long it works.")
@click.option(
    "--label", default="command line", show_default=True, help="What it is for, as the account page shows it."
)
@with_appcontext
def create_token(name: str, scope: str, days: int, label: str) -> None:
    """Create an API token for the account NAME and print it, this once.

    Example: flask create-token ada --scope write --days 30
    """
    user = db.session.scalar(select(User).where(User.name == name.strip().lower(), User.active))
    if user is None:
        raise click.ClickException(f"There is no active account named {name.strip().lower()}.")
    try:
        _, text = api_tokens.create(db.session(), owner_id=user.id, name=label, scope=scope, days=days)
    except AccountError as error:
        raise click.ClickException(f"{error}") from error
    db.session.commit()
    click.echo(text)


def _add(name: str, password: str, role: str, timezone: str) -> User:
    session = db.session()
    user = User(name=name.strip().lower(), role=role, password_hash="")
    if not NAME.fullmatch(user.name):
        raise AccountError("name", repr(name[:100]), "1 to 80 letters, digits, or . _ @ + -")
    session.add(user)
    accounts.set_password(session, user, password)
    accounts.set_preferences(session, user, timezone=timezone, theme="auto")
    return user
