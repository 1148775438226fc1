"""A database that restarts is waited for, so that a computed result is not thrown away."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

log = structlog.get_logger("worker")

T = TypeVar("T")
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0


def patiently(work: Callable[[], T], *, stopping: threading.Event, seconds: float) -> T:
    """The answer of `work`, tried again while the database does not answer, for `seconds` or until `stopping`.

    `work` is one transaction, or several that may be repeated: a commit whose answer was lost is repeated too.
    """
    deadline = time.monotonic() + seconds
    pause = FIRST_PAUSE
    while True:
        try:
            return work()
        except (OperationalError, InterfaceError) as error:
            if stopping.is_set() or time.monotonic() + pause > deadline:
                raise
            log.warning("the database does not answer, trying again", error=str(error.orig), pause_seconds=pause)
        stopping.wait(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
