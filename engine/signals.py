"""Signals: what a strategy wishes at each bar's close."""

from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Signals:
    """Four wishes a bar, bool[n] each; the value at i may use bars up to and including i.

    `hold_bars`: the strategy's own time exit in bars, or None; the earlier of it and the spec's `exits.hold_bars` wins.
    """

    enter: Flags
    exit: Flags
    enter_short: Flags
    exit_short: Flags
    hold_bars: int | None = None

    def __len__(self) -> int:
        return len(self.enter)


def long_only(enter: Flags, exit: Flags | None = None, *, hold_bars: int | None = None) -> Signals:  # noqa: A002
    """Signals of a strategy that never sells short; without `exit`, positions end by time, stop or target."""
    never = np.zeros(len(enter), dtype=np.bool_)
    return Signals(enter, never if exit is None else exit, never, never, hold_bars)


def mirrored(enter: Flags, exit: Flags) -> Signals:  # noqa: A002
    """Signals of a symmetrical strategy: what ends a long opens a short, and the reverse."""
    return Signals(enter, exit, exit, enter)


class Wish(IntFlag):
    """The same four wishes for one bar, as PositionManager takes them; combine with |."""

    NOTHING = 0
    ENTER = 1
    EXIT = 2
    ENTER_SHORT = 4
    EXIT_SHORT = 8
