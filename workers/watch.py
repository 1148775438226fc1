"""The running backtest's line to its row: heartbeat, progress, and the wish of others that it stops."""

import threading
from types import TracebackType
from typing import Self

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from storage_core import backtests
from storage_core.backtests import Claim
from storage_core.db import session_scope
from storage_core.errors import ClaimLost
from workers.errors import Interrupted

log = structlog.get_logger("worker")

LOOK_SECONDS = 0.1
LOOKS_A_REPORT, LOOKS_A_BEAT = 10, 20  # progress once a second, a heartbeat every two


class Watch:
    """A thread that looks at the row ten times a second, and beats and reports progress.

    The thread owns every database call of a run in progress, so `check`, called between chunks of bars, costs nothing
    and a long pause in the run (reading, saving) does not look like a dead worker.
    """

    def __init__(self, engine: Engine, claim: Claim, stopping: threading.Event) -> None:
        self._engine = engine
        self._claim = claim
        self._stopping = stopping
        self._why: str | None = None
        self._progress, self._phase = 0.0, "starting"
        self._reported: tuple[float, str] | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"watch-{claim.task_id}", daemon=True)

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
        """Raise Interrupted when the run must stop: cancelled, lost to another worker, or the process is stopping."""
        if self._stopping.is_set():
            raise Interrupted("stopping")
        if self._why is not None:
            raise Interrupted(self._why)

    def _watch(self) -> None:
        looks = 0
        while not self._done.wait(LOOK_SECONDS):
            looks += 1
            try:
                self._look(beat=looks % LOOKS_A_BEAT == 0, report=looks % LOOKS_A_REPORT == 1)
            except ClaimLost:
                self._why = "lost"
            except SQLAlchemyError as error:
                # The database may be restarting. The run goes on; the claim decides at the end whether it counts.
                log.warning("no heartbeat", task_id=str(self._claim.task_id), error=str(error))

    def _look(self, *, beat: bool, report: bool) -> None:
        current = (self._progress, self._phase)
        with session_scope(self._engine) as session:
            state = backtests.heartbeat(session, self._claim) if beat else backtests.look(session, self._claim)
            if state == "ok" and report and current != self._reported:
                backtests.set_progress(session, self._claim, progress=current[0], phase=current[1])
                self._reported = current
        if state != "ok":
            self._why = state
