"""Stopping code that never looks: it lands inside the work, and nowhere else."""

import threading
import time

import pytest

from workers.interrupt import Interruptible, StopNow


def loop(seconds=120):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pass


def stop_after(work, seconds):
    timer = threading.Timer(seconds, work.stop)
    timer.start()
    return timer


def test_an_endless_loop_is_stopped():
    work = Interruptible()
    timer = stop_after(work, 0.05)
    with pytest.raises(StopNow):
        work.run(loop)
    timer.join()


def test_code_that_catches_every_exception_does_not_catch_this():
    def stubborn():
        try:
            loop()
        except Exception:
            loop()

    work = Interruptible()
    timer = stop_after(work, 0.05)
    with pytest.raises(StopNow):
        work.run(stubborn)
    timer.join()


def test_nothing_is_raised_once_the_work_is_done():
    stopped = 0
    for _ in range(200):  # the stop comes before, within and after the end of the work
        work = Interruptible()
        thread = threading.Thread(target=work.stop)
        try:
            thread.start()
            work.run(lambda: sum(range(500)))
        except StopNow:
            stopped += 1
        thread.join()
        work.stop()
        assert sum(range(2000)) == 1_999_000
    assert 0 <= stopped <= 200


def test_errors_and_answers_come_through():
    work = Interruptible()
    assert work.run(lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        work.run(lambda: 1 / 0)
