"""The bar that long commands show on a terminal."""

import io
import re
import sys
import time

import pytest

from webapp.commands.terminal import progress


class Terminal(io.StringIO):
    """Text that takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


def run(monkeypatch: pytest.MonkeyPatch, shown: io.StringIO) -> str:
    monkeypatch.setattr(sys, "stderr", shown)
    with progress("Migrating") as step:
        for done in range(301):
            step(done, 300, done // 100)
            time.sleep(0.006)  # a rate needs a time
    return shown.getvalue()


def test_a_terminal_shows_how_far_how_fast_and_what_failed(monkeypatch):
    last = run(monkeypatch, Terminal()).split("\r")[-1]
    assert "Migrating" in last
    assert "300/300  100%" in last
    assert re.search(r"\d/s  3 failed", last)


def test_the_time_left_is_shown_on_the_way(monkeypatch):
    lines = run(monkeypatch, Terminal()).split("\r")
    assert any(re.search(r" \d+%  00:00:0\d  \d+/s", line) for line in lines), lines


def test_what_is_no_terminal_gets_nothing(monkeypatch):
    assert run(monkeypatch, io.StringIO()) == ""
