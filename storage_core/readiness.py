"""Whether a process can do its work: the database, the place of the results, and somebody who works."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from storage_core import processes
from storage_core.db import session_scope, utc_now
from storage_core.errors import StorageError
from storage_core.migrate import has_newest_schema
from storage_core.settings import Settings


@dataclass(frozen=True, slots=True)
class Check:
    """One answer; `why` is a few fixed words that tell a stranger nothing about the installation."""

    name: str
    ok: bool
    why: str = ""


def check_database(engine: Engine) -> Check:
    """It answers, and has the newest schema."""
    try:
        current = has_newest_schema(engine)
    except SQLAlchemyError:
        return Check("database", False, "does not answer")
    return Check("database", current, "" if current else "needs: flask db upgrade")


def check_worker(engine: Engine, *, now: datetime | None = None) -> Check:
    """At least one worker gave a sign of life in the last 30 seconds."""
    try:
        with session_scope(engine) as session:
            working = any(one.kind == "worker" for one in processes.alive(session, now or utc_now()))
    except SQLAlchemyError:
        return Check("worker", False, "the database does not answer")
    return Check("worker", working, "" if working else "none has given a sign of life")


def check_results(settings: Settings) -> Check:
    """A folder can be written to, a bucket can be listed. Nothing is left behind."""
    bucket = settings.results_bucket
    try:
        if bucket is not None:
            from storage_core.object_store import provider_for

            next(iter(provider_for(bucket, settings).list("backtests/", page_size=1)), None)
        else:
            with tempfile.TemporaryFile(dir=_there(settings.results_dir)):
                pass
    except (OSError, StorageError):
        return Check("results", False, "cannot be reached" if bucket is not None else "cannot be written")
    return Check("results", True)


def _there(folder: Path) -> Path:
    """The folder, or before the first result the one it will be made in."""
    return folder if folder.exists() else _there(folder.parent)
