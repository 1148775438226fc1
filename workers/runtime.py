"""What every actor of one worker process shares: settings, database engine, and the wish to stop."""

import os
import socket
import threading
from functools import cached_property

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from engine.catalog import Catalog
from storage_core.custom_strategies import publish
from storage_core.db import make_engine, session_scope
from storage_core.settings import Settings
from workers import custom_strategies

log = structlog.get_logger("worker")

_current: "Runtime | None" = None


class Runtime:
    """Built once in `workers.boot`; tests build their own."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.stopping = threading.Event()
        self._catalog: Catalog | None = None
        self._seen: frozenset[tuple[str, int, int]] = frozenset()

    @cached_property
    def engine(self) -> Engine:
        """Connections of this process."""
        return make_engine(self.settings.database_url)

    @cached_property
    def worker_name(self) -> str:
        """host:pid, as the events and the operations page show it."""
        return f"{socket.gethostname()}:{os.getpid()}"

    def catalog(self) -> Catalog:
        """The shipped strategies and people's own; read again, and published, when a file has changed."""
        seen = custom_strategies.stamp(self.settings.strategies_dir)
        if self._catalog is None or seen != self._seen:
            found = custom_strategies.find(self.settings.strategies_dir)
            for one in found:
                if one.error:
                    log.warning("strategy not loaded", strategy=one.name, source=one.source, error=one.error)
            self._publish(found)
            self._catalog, self._seen = custom_strategies.catalog_of(found), seen
        return self._catalog

    def _publish(self, found: list[custom_strategies.Found]) -> None:
        try:
            with session_scope(self.engine) as session:
                publish(session, [one.row() for one in found])
        except IntegrityError:
            log.info("another worker published the same strategies at this moment")

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
