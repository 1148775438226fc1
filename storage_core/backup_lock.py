"""One backup or prune at a time, on all machines of an installation; a process that dies holds nothing.

With PostgreSQL the database keeps the lock, as its machines share nothing else. With SQLite there is one machine, and
a file does.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from storage_core.backup_errors import BackupRunning
from storage_core.files import disk_problems
from storage_core.settings import Settings

BACKUP, REHEARSAL = "backup", "rehearsal"
_KEYS = {BACKUP: 0x636F696E2D626B70, REHEARSAL: 0x636F696E2D726872}


@contextmanager
def only_one(engine: Engine, settings: Settings, what: str = BACKUP) -> Iterator[None]:
    """Hold the lock of `what` while the block runs. Raises BackupRunning at once when somebody else does."""
    with _on_postgresql(engine, what) if engine.dialect.name == "postgresql" else _on_disk(settings, what):
        yield


@contextmanager
def _on_postgresql(engine: Engine, what: str) -> Iterator[None]:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        key = {"key": _KEYS[what]}
        if not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), key):
            raise BackupRunning(what)
        try:
            yield
        finally:
            # Told, so that it is free at once; and let go with the connection, should the server have restarted.
            with suppress(SQLAlchemyError):
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)
            connection.invalidate()


@contextmanager
def _on_disk(settings: Settings, what: str) -> Iterator[None]:
    path = settings.data_dir / f"{what}.lock"
    with disk_problems(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor, what)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, what: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BackupRunning(what) from error
