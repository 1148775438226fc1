"""`flask up`: the whole product in one terminal."""

from __future__ import annotations

import os
import sys

import click


@click.command("up")
def up() -> None:
    """Start the web, the workers, the clock and, when needed, the queue server; Ctrl-C stops all of it.

    Example: PORT=8001 flask up
    """
    # This process becomes the supervisor: a signal reaches it directly, and the web's modules are out of memory.
    os.execv(sys.executable, [sys.executable, "-m", "workers.supervisor"])  # noqa: S606
