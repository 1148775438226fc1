"""What commands share: dates as people type them, errors as sentences, a progress bar, reports."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError

from storage_core.errors import BadFilter, SettingsError, StorageError
from storage_core.settings import database_address

Step = Callable[[int, int, int], None]
FINDINGS = 1
"""Exit status of a command that found something wrong; wrong use is 2, as click has it."""


class Instant(click.ParamType[datetime]):
    """A date, or an instant; UTC where it says nothing else."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The instant; a date is its midnight."""
        if isinstance(value, datetime):
            return value
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a date such as 2026-11-01 or 2026-11-01T09:00:00+09:00", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


class DatabaseAddress(click.ParamType[URL]):
    """The address of a database, as DATABASE_URL may have it."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> URL:
        """As SQLAlchemy has it."""
        try:
            return make_url(database_address("it", str(value)))
        except SettingsError as error:
            self.fail(f"{error}", param, ctx)


@contextmanager
def problems() -> Iterator[None]:
    """What concerns the whole run, as a sentence instead of a traceback."""
    try:
        yield
    except BadFilter as error:
        raise click.UsageError(f"{error}") from error
    except StorageError as error:
        raise click.ClickException(f"{error}") from error
    except DBAPIError as error:
        first = str(error.orig).splitlines()[0]
        raise click.ClickException(
            f"the database says: {first}; is it at the newest schema? flask db upgrade"
        ) from error


@contextmanager
def progress(what: str) -> Iterator[Step]:
    """A bar with rate and time left on a terminal; nothing anywhere else."""
    if not sys.stderr.isatty():
        yield lambda done, total, failed: None
        return
    started, failures = time.monotonic(), 0

    def beside(done: int | None) -> str:
        seconds = time.monotonic() - started
        rate = f"{(done or 0) / seconds:.0f}/s" if seconds > 1 else ""
        return f"{rate}  {failures} failed" if failures else rate

    with click.progressbar(
        length=0, label=what, file=sys.stderr, show_pos=True, show_percent=True, item_show_func=beside
    ) as bar:

        def step(done: int, total: int, failed: int) -> None:
            nonlocal failures
            bar.length, failures = total, failed
            bar.update(done - bar.pos, done)

        yield step


def say_json(report: Mapping[str, Any]) -> None:
    """Print a report for machines."""
    say(json.dumps(report, indent=2, ensure_ascii=False))


def say(text: str, *, err: bool = False) -> None:
    """Print; what the terminal cannot show is replaced, and so is what would command it."""
    shown = "".join(char if char.isprintable() or char == "\n" else "�" for char in text)
    click.echo(shown.encode(errors="replace").decode(), err=err)
