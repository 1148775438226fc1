"""The database as a whole, from the terminal."""

from __future__ import annotations

import click
from flask.cli import with_appcontext
from sqlalchemy.engine import URL

from webapp.commands.store import json_option
from webapp.commands.terminal import DatabaseAddress, problems, progress, say, say_json
from webapp.extensions import settings


@click.command("copy-database")
@with_appcontext
@click.option(
    "--to",
    "target",
    required=True,
    type=DatabaseAddress(),
    envvar="TARGET_DATABASE_URL",
    show_envvar=True,
    help="Address of an empty database, as DATABASE_URL has it. Without the option it is read from the environment.",
)
@json_option
def copy_database(target: URL, as_json: bool) -> None:
    """Copy every row into another, empty database: from SQLite to PostgreSQL, or back.

    Stop the product first. The target is filled and compared in one transaction: it holds everything or nothing.
    Files of results and bars stay where they are. Then set DATABASE_URL to the new address and start again.

    Example: flask copy-database --to postgresql://coin@localhost/coin
    """
    from storage_core.copy_database import copy_database as copy

    with problems(), progress("Copying tables") as step:
        address = target.render_as_string(hide_password=False)
        counts = copy(settings().database_url, address, lambda name, done, of: step(done, of, 0))
    if as_json:
        say_json({"tables": counts, "rows": sum(counts.values())})
        return
    say(f"Copied and compared {sum(counts.values()):,} rows of {len(counts)} tables:")
    for name, count in counts.items():
        say(f"  {name:<20} {count:>12,}")
    say("Set DATABASE_URL to the new address, and start the product again.")
