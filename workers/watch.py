"""The running backtest's line to its row: heartbeat, progress, and the wish of others that it stops."""

import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from storage_core import backtests
from storage_core.backtests import Claim
from storage_core.db import session_scope
from storage_core.errors import ClaimLost
from workers.errors import Interrupted, TimeLimit
from workers.interrupt import Interruptible, StopNow

log = structlog.get_logger("worker")

T = TypeVar("T")
LOOK_SECONDS = 0.1
LOOKS_A_REPORT, LOOKS_A_BEAT = 10, 20  # progress once a second, a heartbeat every two


class Watch:
    """A thread that looks at the row ten times a second, and beats and reports progress.

    The thread owns every database call of a run in progress, so `check`, called between chunks of bars, costs nothing
    and a long pause in the run (reading, saving) does not look like a dead worker. It confirms a cancel by itself:
    the row is cancelled within moments, whatever the run is doing, and from then on the run can write nothing.
    """

    def __init__(self, engine: Engine, claim: Claim, *, stopping: threading.Event, time_limit: float) -> None:
        self._engine = engine
        self._claim = claim
        self._stopping = stopping
        self._time_limit = time_limit
        self._deadline = time.monotonic() + time_limit
        self._why: str | None = None
        self._work = Interruptible()
        self._progress, self._phase = 0.0, "starting"
        self._reported: tuple[float, str] | None = None
        self._done = threading.Event()
        # In a copy of this context, so that its log lines and events name the backtest and the request, too.
        follow = partial(copy_context().run, self._watch)
        self._thread = threading.Thread(target=follow, name=f"watch-{claim.task_id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def report(self, progress: float, phase: str) -> None:
        """Note how far the run is (0 to 1) and in which phase; the row follows within a second."""
        self._progress, self._phase = progress, phase

    def check(self) -> None:
        """Raise Interrupted or TimeLimit when the run must stop: see `run` for the reasons."""
        self._why = self._why or self._local_reason()
        if self._why == "time_limit":
            raise TimeLimit(self._time_limit)
        if self._why is not None:
            raise Interrupted(self._why)

    def check_ownership(self) -> None:
        """Raise Interrupted when the row is no longer this attempt's; a run that only has to save may end in peace."""
        if self._why in ("cancelled", "lost"):
            raise Interrupted(self._why)

    def run(self, work: Callable[[], T]) -> T:
        """The answer of `work`, which is interrupted, own strategies' loops included, when it must stop.

        Raises Interrupted (cancelled, lost to another worker, or the process is stopping) and TimeLimit.
        """
        try:
            return self._work.run(work)
        except StopNow:
            self.check()
            raise

    def _watch(self) -> None:
        looks = 0
        while not self._done.wait(LOOK_SECONDS):
            looks += 1
            self._why = self._why or self._local_reason()
            try:
                self._look(beat=looks % LOOKS_A_BEAT == 0, report=looks % LOOKS_A_REPORT == 1)
            except ClaimLost:
                self._why = "lost"
            except SQLAlchemyError as error:
                # The database may be restarting. The run goes on; the claim decides at the end whether it counts.
                log.warning("no heartbeat", task_id=str(self._claim.task_id), error=str(error))
            if self._why is not None:
                self._work.stop()

    def _local_reason(self) -> str | None:
        if self._stopping.is_set():
            return "stopping"
        return "time_limit" if time.monotonic() > self._deadline else None

    def _look(self, *, beat: bool, report: bool) -> None:
        if self._why in ("cancelled", "lost"):
            return
        current = (self._progress, self._phase)
        with session_scope(self._engine) as session:
            state = backtests.heartbeat(session, self._claim) if beat else backtests.look(session, self._claim)
            if state == "ok" and report and current != self._reported:
                backtests.set_progress(session, self._claim, progress=current[0], phase=current[1])
                self._reported = current
            if state == "cancel":
                backtests.mark_cancelled(session, self._claim)
        if state != "ok":
            self._why = "cancelled" if state == "cancel" else "lost"
