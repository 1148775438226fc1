"""Lighthouse for the tests and the benchmark of the pages: pinned by package-lock.json, installed when it is needed."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
STAMP = FOLDER / "node_modules" / ".installed"


@dataclass(frozen=True)
class Measured:
    """What Lighthouse says of one page."""

    address: str
    scores: dict[str, int]
    failed: list[str]
    bytes: int


def node() -> str | None:
    """Where Node is, if there is also npm."""
    return shutil.which("node") if shutil.which("npm") else None


def install() -> None:
    """What the lock file says, unless it is there."""
    lock = (FOLDER / "package-lock.json").read_text()
    if STAMP.is_file() and STAMP.read_text() == lock:
        return
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    subprocess.run(["npm", "ci", *quiet], cwd=FOLDER, check=True, timeout=300)
    STAMP.write_text(lock)


def measure(port: int, cookie: str, addresses: Sequence[str]) -> list[Measured]:
    """Each page, in the Chromium whose DevTools listen on `port`, with this Cookie header.

    What Lighthouse itself could not measure, because a busy machine gave it no trace in time, is measured once more.
    """
    told = _told(port, cookie, addresses)
    if again := [place for place, one in enumerate(told) if one.get("error")]:
        for place, one in zip(again, _told(port, cookie, [addresses[place] for place in again]), strict=True):
            told[place] = one
    assert not [one for one in told if one.get("error")], told
    return [Measured(one["address"], one["scores"], one["failed"], one["bytes"]) for one in told]


def _told(port: int, cookie: str, addresses: Sequence[str]) -> list[dict[str, Any]]:
    argv = ["node", "measure.mjs", str(port), cookie, *addresses]
    done = subprocess.run(
        argv, check=False, cwd=FOLDER, capture_output=True, text=True, timeout=60 * (1 + len(addresses))
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]
