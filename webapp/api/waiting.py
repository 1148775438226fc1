"""Waiting for a backtest to end without keeping the web busy."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from flask import current_app

from storage_core import backtests
from storage_core.models import Backtest
from webapp.extensions import db

ACTIVE: Final = ("queued", "running")
SEATS: Final = 4
"""How many requests of one process may wait at the same time, of its 8 threads; others are answered at once."""
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.25


@contextmanager
def seat() -> Iterator[bool]:
    """Whether there was room to wait; the seat is kept for the length of the block."""
    seats: threading.BoundedSemaphore = current_app.extensions["api_seats"]
    taken = seats.acquire(blocking=False)
    try:
        yield taken
    finally:
        if taken:
            seats.release()


def pauses(seconds: float) -> Iterator[None]:
    """Sleeps between looks, each longer than the one before, until the time is over. Holds no connection meanwhile."""
    deadline, pause = time.monotonic() + seconds, FIRST_PAUSE
    while (left := deadline - time.monotonic()) > 0:
        db.session.rollback()
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, LONGEST_PAUSE)
        yield


def until_ended(backtest: Backtest, seconds: float) -> Backtest:
    """The backtest when it has ended, or as it is when the time or the room to wait is over."""
    task_id: UUID = backtest.task_id
    if backtest.status not in ACTIVE or seconds <= 0:
        return backtest
    with seat() as taken:
        for _ in pauses(seconds if taken else 0):
            backtest = backtests.get(db.session(), task_id)
            if backtest.status not in ACTIVE:
                break
    return backtest
