"""Commands of libraries: a library that serves one command is loaded when that command is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from flask.cli import ScriptInfo

from webapp.extensions import db


class Borrowed(click.Command):
    """Stands for the command that `load` brings, and hands everything that was typed to it."""

    def __init__(self, name: str, text: str, load: Callable[[click.Context], click.Command]) -> None:
        super().__init__(name, help=text, add_help_option=False)
        self.load = load

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.args = args
        return args

    def invoke(self, ctx: click.Context) -> Any:
        command = self.load(ctx)
        with command.make_context(self.name, ctx.args, parent=ctx.parent) as inner:
            return command.invoke(inner)


def _migrations(ctx: click.Context) -> click.Command:
    from flask_migrate import Migrate, cli

    app = ctx.ensure_object(ScriptInfo).load_app()
    Migrate().init_app(app, db, directory=str(Path(app.root_path).parent / "migrations"), render_as_batch=True)
    found: click.Command = cli.db
    return found


migrations = Borrowed("db", "Bring the schema of the database to a revision, or say where it stands.", _migrations)
