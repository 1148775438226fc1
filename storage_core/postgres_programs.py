"""pg_dump and pg_restore: finding one that fits the server, and running it so that it can be stopped.

A pg_dump older than the server refuses; a pg_restore must not be older than the pg_dump. Of several, the oldest that
fits is taken, because newer ones write what older servers do not know.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryFile

from sqlalchemy.engine import make_url

from storage_core.backup_errors import ProgramFailed, ProgramMissing

PG_DUMP, PG_RESTORE = "pg_dump", "pg_restore"
DEBIAN = Path("/usr/lib/postgresql")
LOOK_SECONDS = 0.2
_VERSION = re.compile(r"\(PostgreSQL\) (([0-9]+)[.0-9a-z]*)")


def find(program: str, at_least: int) -> tuple[Path, str]:
    """The program of that major version, or the next newer one there is, and its full version.

    Looks in PATH, then where Debian keeps all versions beside each other. Raises ProgramMissing.
    """
    found: dict[int, tuple[Path, str]] = {}
    folders = [Path(part) for part in os.environ.get("PATH", "").split(os.pathsep) if part]
    for folder in [*folders, *sorted(DEBIAN.glob("*/bin"))]:
        path = folder / program
        if os.access(path, os.X_OK) and (version := _version(path)):
            found.setdefault(int(version[2]), (path, version[1]))
    fitting = [major for major in found if major >= at_least]
    if not fitting:
        raise ProgramMissing(program, at_least, sorted(found))
    return found[min(fitting)]


def major_of(version: str) -> int:
    """16 of "16.14"."""
    return int(re.match(r"[0-9]+", version)[0])  # type: ignore[index]


def run(
    program: Path,
    options: Sequence[str],
    *,
    database_url: str,
    check: Callable[[], None] = lambda: None,
    last: str | None = None,
) -> None:
    """Run the program on that database, `last` being its file.

    `check` is called now and then and may raise, which stops the program. The password goes by the environment, where
    other people of the machine cannot read it. Raises ProgramFailed.
    """
    url = make_url(database_url).set(drivername="postgresql")
    environment = {**os.environ, "PGCONNECT_TIMEOUT": "10"}
    if url.password is not None:
        environment["PGPASSWORD"] = str(url.password)
    address = url.set(password=None).render_as_string()
    with TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603
            [program, *options, f"--dbname={address}", *([] if last is None else [last])],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        try:
            while not _ended(process):
                check()
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            said.seek(0)
            lines = said.read(10_000).decode(errors="replace").strip().splitlines()
            raise ProgramFailed(program.name, " ".join(lines[-3:]) or f"exit status {process.returncode}")


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(timeout=LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _version(path: Path) -> re.Match[str] | None:
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return _VERSION.search(answer.stdout)
