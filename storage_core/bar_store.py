"""Bars: one Parquet file a symbol and timeframe, in a folder of this machine (here) or in S3 (`bar_objects`).

A file is replaced as a whole and never changed in place, so a reader sees all of it or the one before. What the
files cover and how good they are is kept beside them, so that listing needs neither a Parquet reader nor numpy: a web
process at rest loads none of them, which is why the methods that change bars import what they need by themselves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage_core.bar_names import SYMBOL, TIMEFRAMES, file_name
from storage_core.bar_quality import Quality
from storage_core.errors import BarsDamaged, NoBars
from storage_core.files import create_bytes, disk_problems, file_lock, fsync_dir, remove_leftovers, write_bytes

if TYPE_CHECKING:
    from storage_core.bar_merge import MergePlan
    from storage_core.bar_names import Wins
    from storage_core.bar_table import BarTable

__all__ = ["SYMBOL", "TIMEFRAMES", "BarStore", "Coverage", "file_name"]

INVENTORY = "inventory.json"
_FILE = re.compile(rf"({SYMBOL.pattern})_({'|'.join(TIMEFRAMES)})\.parquet")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVER, _NEVER = -(2**63), 2**63 - 1
_MOST_NAMED = 12


@dataclass(frozen=True, slots=True)
class Coverage:
    """What is stored of one symbol and timeframe; `first` and `last` are open times of bars, UTC.

    `fingerprint` is the sha256 of all its bars' values and `quality` their figures; empty and None until somebody
    asked for them (`BarStore.coverage`).
    """

    symbol: str
    timeframe: str
    rows: int
    first: datetime
    last: datetime
    bytes: int
    fingerprint: str = ""
    quality: Quality | None = field(default=None, compare=False)


class BarStore:
    """The bars under one folder, which is created when missing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        with disk_problems(root):
            root.mkdir(parents=True, exist_ok=True)

    def path(self, symbol: str, timeframe: str) -> Path:
        """Where the bars are, or would be; raises BadSymbol and BadTimeframe before any path is built."""
        return self.root / file_name(symbol, timeframe)

    def inventory(self) -> list[Coverage]:
        """What is stored, by symbol and timeframe. Files that cannot be read are left out: see `scan`."""
        return self.scan()[0]

    def scan(self) -> tuple[list[Coverage], list[BarsDamaged]]:
        """What is stored, and the files that cannot be read."""
        kept, entries = self._kept_inventory(), {}
        coverages: list[Coverage] = []
        damaged: list[BarsDamaged] = []
        for path in self.root.glob("*.parquet"):
            if not (name := _FILE.fullmatch(path.name)):
                continue
            try:
                entries[path.name] = entry = _entry(path, kept.get(path.name))
            except BarsDamaged as error:
                damaged.append(error)
            except FileNotFoundError:
                continue  # deleted a moment ago
            else:
                coverages.append(coverage_of(name[1], name[2], entry))
        if entries != kept:
            self._keep_inventory(entries)
        return sorted(coverages, key=_in_order), damaged

    def coverage(self, symbol: str, timeframe: str) -> Coverage:
        """What is stored of one, with fingerprint and quality: kept, or found by reading it now and then kept.

        Raises NoBars and BarsDamaged.
        """
        path = self.path(symbol, timeframe)
        try:
            entry = _entry(path, self._kept_inventory().get(path.name))
            if "quality" not in entry:
                with file_lock(self.root / ".lock"):
                    entry = self._examined(symbol, timeframe)
        except FileNotFoundError:
            raise NoBars(symbol, timeframe, self._available(symbol, timeframe)) from None
        return coverage_of(symbol, timeframe, entry)

    def read(self, symbol: str, timeframe: str, start: datetime | None = None, end: datetime | None = None) -> BarTable:
        """The bars that open at or after `start` and before `end` (aware; None: without limit).

        Raises NoBars when there are none, saying what there is, and BarsDamaged naming the file.
        """
        low, high = _micros(start, _EVER), _micros(end, _NEVER)
        bars = self._load(symbol, timeframe, low, high)
        if bars is None or not len(bars):
            raise NoBars(symbol, timeframe, self._available(symbol, timeframe))
        return bars

    def plan(self, symbol: str, timeframe: str, bars: BarTable | Mapping[str, Any]) -> MergePlan:
        """What `merge` would do; nothing is stored. Raises as it does, but for BarConflicts."""
        from storage_core.bar_changes import checked_bars
        from storage_core.bar_merge import plan

        new = checked_bars(symbol, timeframe, bars)
        return plan(self._load(symbol, timeframe, _EVER, _NEVER), new)

    def merge(
        self, symbol: str, timeframe: str, bars: BarTable | Mapping[str, Any], *, wins: Wins | None = None
    ) -> Coverage:
        """Add bars to what is stored, which never gets shorter. Returns the new coverage.

        `wins` says which side's values stay where a stored bar differs; None = that is refused with BarConflicts.
        Raises BadBars when a row is impossible, BarsDamaged when what is stored cannot be read, DiskProblem.
        """
        return self.merge_planned(symbol, timeframe, bars, wins=wins)[0]

    def merge_planned(
        self, symbol: str, timeframe: str, bars: BarTable | Mapping[str, Any], *, wins: Wins | None = None
    ) -> tuple[Coverage, MergePlan]:
        """The same, and what it did."""
        from storage_core.bar_changes import checked_bars, facts_of, joined

        path = self.path(symbol, timeframe)
        new = checked_bars(symbol, timeframe, bars)
        with file_lock(self.root / ".lock"):
            whole, done = joined(symbol, timeframe, self._load(symbol, timeframe, _EVER, _NEVER), new, wins)
            if whole is None:
                entry = self._examined(symbol, timeframe)
            else:
                from storage_core.bar_files import write_bars

                remove_leftovers(path)
                write_bars(path, whole)
                entry = {**_entry(path, None), **facts_of(whole, timeframe)}
                self._keep_inventory({**self._kept_inventory(), path.name: entry})
        return coverage_of(symbol, timeframe, entry), done

    def delete(self, symbol: str, timeframe: str) -> None:
        """Remove all bars of one symbol and timeframe. Raises NoBars."""
        path = self.path(symbol, timeframe)
        with file_lock(self.root / ".lock"), disk_problems(path):
            try:
                path.unlink()
            except FileNotFoundError:
                raise NoBars(symbol, timeframe, self._available(symbol, timeframe)) from None
            fsync_dir(self.root)

    def install(self, symbol: str, timeframe: str, shipped: Path) -> bool:
        """Store a file of bars, byte for byte, where there are none; False when there are."""
        return create_bytes(self.path(symbol, timeframe), shipped.read_bytes())

    def state(self, symbol: str, timeframe: str) -> Hashable:
        """Something that changes whenever these bars change; None when there are none. Costs one look at a file."""
        try:
            stat = self.path(symbol, timeframe).stat()
        except FileNotFoundError:
            return None
        return str(self.root), stat.st_ino, stat.st_mtime_ns, stat.st_size

    def _load(self, symbol: str, timeframe: str, low: int, high: int) -> BarTable | None:
        """The stored bars with low <= timestamp < high; None when there is no file."""
        path = self.path(symbol, timeframe)
        if not path.exists():
            return None  # without loading what reads Parquet
        from storage_core.bar_files import read_bars

        try:
            return read_bars(path, low, high)
        except FileNotFoundError:
            return None  # deleted a moment ago

    def _examined(self, symbol: str, timeframe: str) -> dict[str, Any]:
        """What the inventory keeps of one file, fingerprint and quality included; only under the lock.

        Raises FileNotFoundError and BarsDamaged.
        """
        path, kept = self.path(symbol, timeframe), self._kept_inventory()
        entry = _entry(path, kept.get(path.name))
        if "quality" not in entry:
            from storage_core.bar_changes import facts_of
            from storage_core.bar_files import read_bars

            entry = {**entry, **facts_of(read_bars(path, _EVER, _NEVER), timeframe)}
            self._keep_inventory({**kept, path.name: entry})
        return entry

    def _kept_inventory(self) -> dict[str, dict[str, Any]]:
        try:
            kept = json.loads((self.root / INVENTORY).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # it only repeats what the files say, and is made again
            return {}
        return kept if isinstance(kept, dict) else {}

    def _keep_inventory(self, entries: Mapping[str, Mapping[str, Any]]) -> None:
        write_bytes(self.root / INVENTORY, json.dumps(entries, separators=(",", ":")).encode())

    def _available(self, symbol: str, timeframe: str) -> str:
        return available(self.inventory(), symbol, timeframe)


def available(inventory: list[Coverage], symbol: str, timeframe: str) -> str:
    """What there is instead of bars that are missing, in words: the nearest first, a dozen at most."""
    near = [one for one in inventory if one.symbol == symbol]
    near = near or [one for one in inventory if one.timeframe == timeframe] or inventory
    named = [f"{one.symbol} {one.timeframe} ({one.first:%Y-%m-%d} to {one.last:%Y-%m-%d})" for one in near]
    more = [f"{len(named) - _MOST_NAMED} more"] if len(named) > _MOST_NAMED else []
    return ", ".join(named[:_MOST_NAMED] + more) or "nothing yet"


def _entry(path: Path, kept: dict[str, Any] | None) -> dict[str, Any]:
    """What the inventory keeps of one file: the kept entry, when it is of this very file."""
    from_stat = path.stat()
    identity = {"mtime_ns": from_stat.st_mtime_ns, "bytes": from_stat.st_size}
    if kept is not None and {**kept, **identity} == kept and {"rows", "first", "last"} <= kept.keys():
        return kept
    from storage_core.bar_files import extent

    return {**identity, **extent(path)}


def coverage_of(symbol: str, timeframe: str, entry: Mapping[str, Any]) -> Coverage:
    """What is kept of one symbol and timeframe, as a Coverage."""
    first, last = (_EPOCH + timedelta(microseconds=entry[name]) for name in ("first", "last"))
    quality = Quality.from_dict(entry["quality"]) if "quality" in entry else None
    return Coverage(
        symbol, timeframe, entry["rows"], first, last, entry["bytes"], entry.get("fingerprint", ""), quality
    )


def _in_order(one: Coverage) -> tuple[str, int]:
    return one.symbol, TIMEFRAMES[one.timeframe]


def _micros(instant: datetime | None, otherwise: int) -> int:
    if instant is None:
        return otherwise
    if instant.tzinfo is None:
        raise ValueError(f"an instant needs a time zone, {instant!r} has none")
    return (instant - _EPOCH) // timedelta(microseconds=1)
