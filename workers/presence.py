"""A process that is seen: its sign of life, written from a loop that it has anyway."""

import os
import socket
import time
from uuid import UUID

from sqlalchemy import Engine

from storage_core import processes
from storage_core.db import session_scope, utc_now
from storage_core.processes import Kind, Sign

EVERY_SECONDS = 9.0


class Presence:
    """Call `beat` every few seconds, and `leave` at the end. `task_id` is what the process works on now."""

    def __init__(self, engine: Engine, kind: Kind, *, version: str = "") -> None:
        self.task_id: UUID | None = None
        self._engine = engine
        self._kind = kind
        self._version = version
        self._started_at = utc_now()
        self._said: tuple[float, UUID | None] | None = None

    @property
    def name(self) -> str:
        """host:pid."""
        return f"{socket.gethostname()}:{os.getpid()}"

    def beat(self) -> None:
        """Write the sign when the last one is nine seconds old, or tells of another task. Raises SQLAlchemyError."""
        at, task_id = time.monotonic(), self.task_id
        if self._said is not None and self._said[1] == task_id and at - self._said[0] < EVERY_SECONDS:
            return
        sign = Sign(
            name=self.name,
            kind=self._kind,
            pid=os.getpid(),
            started_at=self._started_at,
            version=self._version,
            task_id=task_id,
        )
        with session_scope(self._engine) as session:
            processes.sign_of_life(session, sign)
        self._said = (at, task_id)

    def leave(self) -> None:
        """Remove the row, when there is one. Raises SQLAlchemyError."""
        if self._said is None:
            return
        with session_scope(self._engine) as session:
            processes.remove(session, self.name)
