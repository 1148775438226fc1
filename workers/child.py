"""One process of the product: started in a session of its own, restarted when it dies, stopped politely."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

import structlog

log = structlog.get_logger("supervisor")

PR_SET_PDEATHSIG = 1
FIRST_PAUSE, LONGEST_PAUSE, CALM_AFTER = 0.5, 30.0, 60.0


def die_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent dies, kill -9 included (Linux; elsewhere nothing happens)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """A command that is kept running until `stop`."""

    def __init__(self, name: str, argv: Sequence[str], *, env: Mapping[str, str], lock_fd: int) -> None:
        self.name = name
        self._argv = list(argv)
        self._env = dict(env)
        self._lock_fd = lock_fd
        self._process: subprocess.Popen[bytes] | None = None
        self._started = self._not_before = 0.0
        self._pause = FIRST_PAUSE

    @property
    def pid(self) -> int | None:
        """Process id while it lives."""
        return self._process.pid if self.is_alive() and self._process else None

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        # The inherited lock says to a later start that this process still lives.
        self._process = subprocess.Popen(  # noqa: S603
            self._argv,
            env=self._env,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509  the supervisor has one thread
            pass_fds=(self._lock_fd,),
            stdin=subprocess.DEVNULL,
        )
        self._started = time.monotonic()
        log.debug("started", child=self.name, pid=self._process.pid)

    def keep_alive(self) -> None:
        """Start it again if it died: at once after a long life, ever later while it keeps dying."""
        if self.is_alive():
            return
        now = time.monotonic()
        if self._process is not None:
            self._after_death(self._process, now)
        if now >= self._not_before:
            self.start()

    def _after_death(self, process: subprocess.Popen[bytes], now: float) -> None:
        self._pause = FIRST_PAUSE if now - self._started > CALM_AFTER else min(2 * self._pause, LONGEST_PAUSE)
        self._not_before = now + self._pause
        log.warning("died", child=self.name, exit_status=process.returncode, restart_in_seconds=self._pause)
        self._kill_session(process)  # what it left behind must not work on without a master
        self._process = None

    def terminate(self) -> None:
        if self._process and self.is_alive():
            self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> None:
        """Wait for the end; after `seconds`, kill it and everything that it started."""
        if self._process is None:
            return
        try:
            self._process.wait(timeout=max(seconds, 0.1))
        except subprocess.TimeoutExpired:
            log.warning("killed, it did not stop", child=self.name)
        self._kill_session(self._process)
        self._process.wait()

    @staticmethod
    def _kill_session(process: subprocess.Popen[bytes]) -> None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
