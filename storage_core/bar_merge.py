"""Joining bars to those stored: what would be added, what is there already, and what contradicts it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from storage_core.bar_names import COLUMNS, Wins
from storage_core.bar_table import BarTable

SAME = 1e-9
"""Two values that differ by less than this fraction are the same: files round, exchanges do not."""
MOST_EXAMPLES = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Conflict:
    """A bar that is stored with other values: open time, and both bars by column."""

    at: datetime
    stored: dict[str, float]
    new: dict[str, float]


@dataclass(frozen=True, slots=True)
class MergePlan:
    """What a merge would do: bars `added`, the `same` as stored, in `conflicts`; `rows` stored afterwards."""

    added: int
    same: int
    conflicts: int
    rows: int
    examples: tuple[Conflict, ...] = ()


def plan(stored: BarTable | None, new: BarTable) -> MergePlan:
    """What merging `new` into `stored` (None: nothing is stored) would do."""
    if stored is None:
        return MergePlan(len(new), 0, 0, len(new))
    old_at, new_at, differs = _meeting(stored, new)
    added = len(new) - len(new_at)
    found = np.flatnonzero(differs)
    examples = tuple(_conflict(stored, new, int(old_at[i]), int(new_at[i])) for i in found[:MOST_EXAMPLES])
    return MergePlan(added, len(new_at) - len(found), len(found), len(stored) + added, examples)


def merged(stored: BarTable | None, new: BarTable, *, wins: Wins) -> BarTable:
    """All bars of both in order of time. Where both have a bar that differs, that of the side which `wins`.

    Never shorter than either. A bar that is the same on both sides stays bit for bit as it is stored.
    """
    if stored is None:
        return new
    old_at, new_at, differs = _meeting(stored, new)
    columns = {name: column.copy() for name, column in stored.columns().items()}
    if wins == "new":
        for name in COLUMNS[1:]:
            columns[name][old_at[differs]] = getattr(new, name)[new_at[differs]]
    fresh = np.ones(len(new), bool)
    fresh[new_at] = False
    stamps = np.concatenate([stored.timestamp, new.timestamp[fresh]])
    order = np.argsort(stamps, kind="stable")
    joined = {name: np.concatenate([columns[name], getattr(new, name)[fresh]])[order] for name in COLUMNS}
    return BarTable(**joined)


def _meeting(stored: BarTable, new: BarTable) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Positions in both of the bars of equal time, and which of them differ."""
    _, old_at, new_at = np.intersect1d(stored.timestamp, new.timestamp, assume_unique=True, return_indices=True)
    differs = np.zeros(len(old_at), bool)
    for name in COLUMNS[1:]:
        before, after = getattr(stored, name)[old_at], getattr(new, name)[new_at]
        differs |= np.abs(before - after) > SAME * np.maximum(np.abs(before), np.abs(after))
    return old_at, new_at, differs


def _conflict(stored: BarTable, new: BarTable, old_at: int, new_at: int) -> Conflict:
    at = _EPOCH + timedelta(microseconds=int(stored.timestamp[old_at]))
    return Conflict(
        at,
        {name: float(getattr(stored, name)[old_at]) for name in COLUMNS[1:]},
        {name: float(getattr(new, name)[new_at]) for name in COLUMNS[1:]},
    )
