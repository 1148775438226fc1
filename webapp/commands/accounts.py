"""Accounts from the terminal."""

from __future__ import annotations

import sys

import click
from flask.cli import with_appcontext
from sqlalchemy import select

from storage_core import account_links, accounts, api_tokens
from storage_core.errors import AccountError
from storage_core.models import ROLES, SCOPES, User
from webapp.audit import audit
from webapp.extensions import db, settings


@click.command("setup-link")
@with_appcontext
def setup_link() -> None:
    """Print the one-time link that creates the first account; it is good for a day.

    Example: flask setup-link
    """
    if not accounts.needs_setup(db.session()):
        raise click.ClickException("The first account exists already. More people: flask create-user NAME")
    click.echo(f"{_here()}/setup?token={accounts.setup_token(settings())}")


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
            db.session(), name=name, role=role, timezone=timezone or settings().timezone, password=password
        )
    except AccountError as error:
        raise click.ClickException(f"{error}") from error
    audit("user.created", user.name, role=user.role)
    db.session.commit()
    click.echo(f"Created {user.name} with the role {user.role}.")


@click.command("reset-link")
@click.argument("name")
@with_appcontext
def reset_link(name: str) -> None:
    """Print a one-time link with which the owner of the account NAME chooses a new password.

    Example: flask reset-link ada
    """
    user = db.session.scalar(select(User).where(User.name == name.strip().lower(), User.active))
    if user is None or user.id == accounts.LOCAL_ID:
        raise click.ClickException(f"There is no active account named {name.strip().lower()}.")
    audit("user.link_made", user.name)
    db.session.commit()
    click.echo(f"{_here()}/welcome?token={account_links.link_token(settings(), user)}")


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
        token, text = api_tokens.create(db.session(), owner_id=user.id, name=label, scope=scope, days=days)
    except AccountError as error:
        raise click.ClickException(f"{error}") from error
    audit("token.created", token.name, owner=user.name, scope=token.scope, expires=token.expires_at.date())
    db.session.commit()
    click.echo(text)


def _here() -> str:
    host = settings().host
    return f"http://[{host}]:{settings().port}" if ":" in host else f"http://{host}:{settings().port}"
