"""Trying again: what an error says of itself (`permanent`) decides, nothing else."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from storage_core.errors import StorageError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for a server's answer, and how often to ask; pauses double, and vary so that callers spread.

    No attempt begins later than `give_up_after` seconds after the first, however the time went: people wait for reads.
    """

    connect_seconds: float = 5
    read_seconds: float = 15
    attempts: int = 6
    give_up_after: float = 30
    first_pause: float = 0.25
    longest_pause: float = 8

    def pauses(self) -> Iterator[float]:
        """The pause after each attempt but the last."""
        for attempt in range(self.attempts - 1):
            longest = min(self.first_pause * 2**attempt, self.longest_pause)
            yield random.uniform(longest / 2, longest)  # noqa: S311


def retrying(patience: Patience, call: Callable[[], T]) -> T:
    """The answer of `call`, asked again while it raises a StorageError that is not permanent."""
    began, tries, pauses = time.monotonic(), 0, patience.pauses()
    while True:
        try:
            tries += 1
            return call()
        except StorageError as error:
            pause = next(pauses, None)
            if error.permanent or pause is None or time.monotonic() + pause - began > patience.give_up_after:
                if tries > 1:
                    error.add_note(f"tried {tries} times")
                raise
            time.sleep(pause)
