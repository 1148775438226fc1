"""`flask new-strategy` and `flask check-strategy`: begin one's own strategy, and see whether it can be trusted."""

from __future__ import annotations

import os
import re
import sys

import click
from flask.cli import with_appcontext

from engine.catalog import STRATEGIES
from webapp.extensions import settings

NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")

EXAMPLE = '''"""Buys after closes that rose a few times in a row, sells at the first that falls."""

import numpy as np

from engine.lines import DrawnLine
from engine.params import ParamSpec
from engine.signals import long_only

PARAMS = [ParamSpec(name="times", type="int", default=3, minimum=1, maximum=50, label="Rises", help="Closes in a row.")]


def signals(bars, params):
    rose = np.diff(bars.close, prepend=np.inf) > 0
    enter = np.array([rose[max(0, i + 1 - params["times"]) : i + 1].all() for i in range(len(bars))])
    return long_only(enter & (np.arange(len(bars)) >= params["times"]), ~rose)


def lines(bars, params):
    before = np.concatenate([np.full(params["times"], np.nan), bars.close])[: len(bars)]
    return [DrawnLine(f"Close {params['times']} bars before", before)]
'''


@click.command("new-strategy")
@click.argument("name")
@with_appcontext
def new_strategy(name: str) -> None:
    """Write NAME.py with a working example into the folder that STRATEGIES_DIR names.

    Example: flask new-strategy three_up
    """
    folder = settings().strategies_dir
    if folder is None:
        raise click.ClickException("set STRATEGIES_DIR to the folder of your own strategies")
    if not NAME.fullmatch(name):
        raise click.ClickException(
            f"{name!r} cannot name a strategy; use lower-case letters, digits and _, starting with a letter"
        )
    if name in STRATEGIES:
        raise click.ClickException(f"a shipped strategy is called {name!r}; choose another name")
    path = folder / f"{name}.py"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(EXAMPLE)
    except FileExistsError:
        raise click.ClickException(f"{path} exists already and was left as it is") from None
    click.echo(f"Wrote {path}. It is in the list within moments; check it with: flask check-strategy {name}")


@click.command("check-strategy")
@click.argument("name")
def check_strategy(name: str) -> None:
    """Run strategy NAME over the stored bars and see whether it, or a line that it draws, looks into the future.

    Example: flask check-strategy sma_cross
    """
    # The check runs the strategy's code and numba, which the web's process never loads.
    os.execv(sys.executable, [sys.executable, "-m", "workers.check_strategy", name])  # noqa: S606
