"""Stopping Python code of somebody else's that never looks at a flag: an exception raised in its thread from outside.

It lands between two instructions of Python. Machine code (a kernel, numpy, Parquet) is not interrupted; it ends first.
"""

import ctypes
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
AGAIN_SECONDS = 1.0  # code that swallows the exception hears it again
LANDS_WITHIN_SECONDS = 0.2


class StopNow(BaseException):
    """Raised inside `Interruptible.run`; no Exception, so that a strategy's own `except Exception` lets it through."""


class Interruptible:
    """Runs work in this thread that another thread can stop. Outside `run` nothing is ever raised."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._pending = False
        self._not_before = 0.0

    def run(self, work: Callable[[], T]) -> T:
        """The answer of `work`, or StopNow."""
        self._thread = threading.get_ident()
        try:
            return work()
        except StopNow:
            self._pending = False
            raise
        finally:
            while self._thread is not None or self._pending:
                try:
                    self._leave()
                except StopNow:
                    self._pending = False  # it landed on the way out

    def stop(self) -> None:
        """Raise StopNow in the thread that is in `run`, at most once a second; nothing happens when none is."""
        with self._lock:
            if self._thread is not None and time.monotonic() >= self._not_before:
                self._not_before = time.monotonic() + AGAIN_SECONDS
                self._pending = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), ctypes.py_object(StopNow))

    def _leave(self) -> None:
        """From here on nothing new is raised; what was raised and has not landed is waited for.

        It is not taken back with NULL: CPython 3.11 would look for it at every call from then on.
        """
        with self._lock:
            self._thread = None
        deadline = time.monotonic() + LANDS_WITHIN_SECONDS
        while self._pending and time.monotonic() < deadline:
            time.sleep(0.001)
        self._pending = False
