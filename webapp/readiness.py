"""Whether this web process can serve people: asked by load balancers every few seconds, worked out every two."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from flask import current_app

from storage_core.readiness import Check, check_database, check_results, check_worker
from webapp.extensions import broker, db, settings

T = TypeVar("T")
KEPT_SECONDS: Final = 2.0


class Remembered(Generic[T]):
    """An answer that is worked out by one thread at a time; while it is, the others get the last one."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._answer: tuple[float, T] | None = None

    def get(self, work: Callable[[], T]) -> T:
        """The answer, at most so many seconds old when it was begun to be worked out."""
        last = self._answer
        if last is not None and (time.monotonic() - last[0] < self._seconds or self._lock.locked()):
            return last[1]
        with self._lock:
            if self._answer is not last and self._answer is not None:
                return self._answer[1]  # somebody else has just worked it out
            began = time.monotonic()
            answer = work()
            self._answer = (began, answer)
            return answer


def readiness() -> list[Check]:
    """Every check, at most two seconds old."""
    kept: Remembered[list[Check]] = current_app.extensions.setdefault("readiness", Remembered(KEPT_SECONDS))
    return kept.get(_look)


def _look() -> list[Check]:
    return [check_database(db.engine), check_queue(), check_results(settings()), check_worker(db.engine)]


def check_queue() -> Check:
    """The queue server answers."""
    import redis  # 20 MB that a process which only reads never loads

    try:
        broker().client.ping()
    except redis.RedisError:
        return Check("queue", False, "does not answer")
    return Check("queue", True)
