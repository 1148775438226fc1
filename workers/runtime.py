"""What every actor of one worker process shares: settings, database engine, and the wish to stop."""

import threading
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from engine.catalog import STRATEGIES, Catalog
from storage_core.already_run import run_key
from storage_core.custom_strategies import publish
from storage_core.db import make_engine, session_scope
from storage_core.processes import Kind
from storage_core.settings import Settings
from storage_core.sources import engine_sha256, shipped_strategy_sha256
from workers import custom_strategies
from workers.custom_strategies import Stamp, Strategies
from workers.presence import Presence
from workers.queue import PromptBroker, make_broker

log = structlog.get_logger("worker")

FOLLOW_SECONDS = 3.0

_current: "Runtime | None" = None


class Runtime:
    """Built once in `workers.boot`; tests build their own."""

    def __init__(self, settings: Settings, broker: PromptBroker | None = None, *, kind: Kind = "worker") -> None:
        self.settings = settings
        self.kind = kind
        self.broker = broker or make_broker(settings.broker_url)  # connects when first used
        self.stopping = threading.Event()
        self._reading = threading.Lock()
        self._strategies: Strategies | None = None
        self._seen: Stamp = frozenset()
        self._following: threading.Thread | None = None

    @cached_property
    def engine(self) -> Engine:
        """Connections of this process."""
        return make_engine(self.settings.database_url)

    @cached_property
    def presence(self) -> Presence:
        """What the operations page knows of this process."""
        return Presence(self.engine, self.kind, version=self.shipped_code[""][:12])

    @cached_property
    def worker_name(self) -> str:
        """host:pid, as the events and the operations page show it."""
        return self.presence.name

    def catalog(self) -> Catalog:
        """The shipped strategies and people's own, as they are now."""
        return self.strategies().catalog

    def strategies(self) -> Strategies:
        """The same with the digests of just that code; read again, and published, when a file has changed."""
        with self._reading:
            return self._newest_strategies()

    def _newest_strategies(self) -> Strategies:
        folder = self.settings.strategies_dir
        if self._strategies is None or custom_strategies.stamp(folder) != self._seen:
            found, seen = custom_strategies.find_settled(folder)
            for one in found:
                if one.error:
                    log.warning("strategy not loaded", strategy=one.name, source=one.source, error=one.error)
            self._publish(found)
            code = {one.name: one.sha256 for one in found}
            self._strategies, self._seen = Strategies(custom_strategies.catalog_of(found), code), seen
        return self._strategies

    @cached_property
    def shipped_code(self) -> dict[str, str]:
        """Digests of the engine ("") and of each shipped strategy, as this process loaded them at its start."""
        strategies = {name: shipped_strategy_sha256(one.signals) for name, one in STRATEGIES.items()}
        return {"": engine_sha256(), **strategies}

    def origin(
        self, spec: Mapping[str, Any], metadata: Mapping[str, Any], *, own_code: Mapping[str, str]
    ) -> dict[str, Any]:
        """What the metadata says about where a result came from: the code, and the key of `already_run`.

        `own_code`: the digests that `strategies` gave with the catalogue that was used, whatever was edited since.
        """
        code = {**own_code, **self.shipped_code}
        strategy, engine = code[spec["strategy"]], code[""]
        data = {symbol: facts["sha256"] for symbol, facts in metadata["data"].items()}
        key = run_key(spec, strategy_sha256=strategy, engine_sha256=engine, data=data)
        return {"code": {"strategy": strategy, "engine": engine}, "run_key": key}

    def follow(self) -> None:
        """Begin to say that this process lives, and, where backtests run, to follow people's strategies."""
        self._following = threading.Thread(target=self._follow, name="follow", daemon=True)
        self._following.start()

    def _follow(self) -> None:
        while not self.stopping.is_set():
            try:
                self.presence.beat()
                if self.kind == "worker":
                    self.catalog()
            except (SQLAlchemyError, OSError) as error:
                log.warning("no sign of life, or strategies not read; tried again soon", error=str(error))
            self.stopping.wait(FOLLOW_SECONDS)

    def _publish(self, found: list[custom_strategies.Found]) -> None:
        with session_scope(self.engine) as session:
            publish(session, [one.row() for one in found])

    def close(self) -> None:
        """Say that this process is gone, and let go of every connection."""
        self.stopping.set()
        if self._following is not None:
            self._following.join()
        try:
            self.presence.leave()
        except SQLAlchemyError as error:
            log.warning("the sign of life stays and falls silent", error=str(error))
        self.broker.close()
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
