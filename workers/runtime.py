"""What every actor of one worker process shares: settings, database engine, and the wish to stop."""

import os
import socket
import threading
from functools import cached_property

from sqlalchemy import Engine

from storage_core.db import make_engine
from storage_core.settings import Settings

_current: "Runtime | None" = None


class Runtime:
    """Built once in `workers.boot`; tests build their own."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.stopping = threading.Event()

    @cached_property
    def engine(self) -> Engine:
        """Connections of this process."""
        return make_engine(self.settings.database_url)

    @cached_property
    def worker_name(self) -> str:
        """host:pid, as the events and the operations page show it."""
        return f"{socket.gethostname()}:{os.getpid()}"

    def close(self) -> None:
        self.engine.dispose()

    @classmethod
    def current(cls) -> "Runtime":
        """The runtime of this process."""
        if _current is None:
            raise RuntimeError("workers.boot.boot() has not run in this process")
        return _current


def set_runtime(runtime: Runtime) -> None:
    """Make `runtime` the one that the actors of this process use."""
    global _current  # noqa: PLW0603  one process, one runtime
    _current = runtime
