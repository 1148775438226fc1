"""docs/commands.md, made from the commands themselves: `python -m tests.command_page` writes it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from storage_core.settings import Settings
from webapp import create_app
from webapp.commands import COMMANDS

PAGE = Path(__file__).parents[1] / "docs" / "commands.md"
WIDTH = 110
KINDS = {
    "Begin": ("up", "env-file", "setup-link", "new-strategy", "check-strategy"),
    "Bars": ("bars",),
    "Queue": ("queue-status", "dead-letters", "verify"),
    "Stored results": (
        "storage-stats",
        "copy-database",
        "verify-results",
        "reconcile-results",
        "repair-results",
        "cleanup-results",
        "undelete-results",
        "export-results",
        "benchmark-storage",
    ),
    "Backups": ("backup",),
    "Legacy results": ("migrate-results", "rollback-results"),
    "The JSON API": ("openapi",),
    "People": ("create-user", "reset-link", "create-token"),
}
HEAD = """# Commands

Made from the commands' own `--help`; `python -m tests.command_page` writes it. `flask` is `.venv/bin/flask` in the
folder of the repository, with the settings of the product ([installation.md](installation.md)). All end with status 0
when all is well, 1 when something was found or went wrong, 2 when they were called wrongly. They speak English, also to
people whose pages are Korean.

Of Flask and its extensions come `flask db` (`upgrade`, `current`, `history`, `downgrade REVISION`: the schema of the
database), `flask routes` and `flask shell`. `flask run` serves the pages alone, for working on them.
"""


def all_commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """`command` and all below it, with their full names."""
    yield name, command
    if isinstance(command, click.Group):
        for one in command.list_commands(click.Context(command)):
            below = command.get_command(click.Context(command), one)
            assert below is not None
            yield from all_commands(f"{name} {one}", below)


def ours() -> dict[str, click.Command]:
    """Every command of the product by its full name, without the word flask."""
    with tempfile.TemporaryDirectory() as folder:
        cli = create_app(Settings.from_env({"DATA_DIR": folder})).cli
    context = click.Context(cli)
    found = {}
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        found.update(all_commands(name, command))
    return found


def section(name: str, command: click.Command) -> str:
    """Heading, and what --help says."""
    context = click.Context(command, info_name=f"flask {name}", terminal_width=WIDTH, max_content_width=WIDTH)
    shown = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    return f"### flask {name}\n\n```text\n{shown}\n```\n"


def page() -> str:
    """The whole page."""
    commands = ours()
    parts = [HEAD]
    for kind, names in KINDS.items():
        parts.append(f"## {kind}\n")
        parts += [section(full, one) for full, one in commands.items() if full.split()[0] in names]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
