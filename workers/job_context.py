"""What a job's function is given: what to do, what was reached before, and its line to the row."""

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from storage_core import jobs
from storage_core.db import session_scope
from storage_core.errors import JobLost
from storage_core.jobs import JobClaim
from storage_core.settings import Settings
from workers.errors import Interrupted

log = structlog.get_logger("worker")

LOOK_SECONDS = 0.25
LOOKS_A_REPORT, LOOKS_A_BEAT = 4, 8  # progress once a second, a heartbeat every two


class JobContext:
    """The job as its function sees it.

    A thread beats, reports and listens for a cancel, so the function may block for a while; it calls `check` (or
    `pause`, or `keep`) often, which raises Interrupted when it must stop. What it has reached by then should be kept.
    """

    def __init__(self, settings: Settings, engine: Engine, claim: JobClaim, *, stopping: threading.Event) -> None:
        self.settings = settings
        self.engine = engine
        self.job_id = claim.job_id
        self.kind = claim.kind
        self.args: Mapping[str, Any] = claim.args
        self.state: Mapping[str, Any] = claim.state
        self._claim = claim
        self._stopping = stopping
        self._why: str | None = None
        self._reported: tuple[float, str] | None = None
        self._progress, self._phase = 0.0, ""
        self._stop, self._done = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"job-{claim.job_id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def report(self, progress: float, phase: str) -> None:
        """Note how far the job is (0 to 1) and what it does, for people; the row follows within a second."""
        self._progress, self._phase = progress, phase

    def keep(self, state: Mapping[str, Any]) -> None:
        """Store `state` now, in place of what was kept before. Raises Interrupted when the job must stop."""
        try:
            with session_scope(self.engine) as session:
                jobs.keep(session, self._claim, state)
        except JobLost:
            self._why = "lost"
        self.state = dict(state)
        self.check()

    def check(self) -> None:
        """Raise Interrupted when a person wants it ("cancelled"), the worker stops, or the job is lost to another."""
        if self._why is None and self._stopping.is_set():
            self._why = "stopping"
        if self._why is not None:
            raise Interrupted(self._why)

    def pause(self, seconds: float) -> None:
        """Wait; raises Interrupted as soon as the job must stop."""
        self._stop.wait(seconds)
        self.check()

    def _watch(self) -> None:
        looks = 0
        while not self._done.wait(LOOK_SECONDS):
            looks += 1
            try:
                self._look(beat=looks % LOOKS_A_BEAT == 1, report=looks % LOOKS_A_REPORT == 1)
            except JobLost:
                self._why = "lost"
            except SQLAlchemyError as error:
                log.warning("no heartbeat", job_id=str(self.job_id), error=str(error))
            if self._why is not None or self._stopping.is_set():
                self._stop.set()

    def _look(self, *, beat: bool, report: bool) -> None:
        if self._why == "lost":
            return
        current = (self._progress, self._phase)
        with session_scope(self.engine) as session:
            state = jobs.heartbeat(session, self._claim) if beat else jobs.look(session, self._claim)
            if state == "ok" and report and current != self._reported:
                jobs.report(session, self._claim, progress=current[0], phase=current[1])
                self._reported = current
        if state != "ok":
            self._why = "cancelled" if state == "cancel" else "lost"
