"""Who wants to know how a backup or a restore goes, or wants to stop it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[int, int, int], None]
"""Hears of files done, all files, files with a problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """Each of these may raise, which ends the work; what was not committed by then never happened."""

    on_step: Callable[[str], None] = lambda step: None
    on_progress: Progress = lambda done, total, failed: None
    check: Callable[[], None] = lambda: None
