"""Bars on disk: one Parquet file a symbol and timeframe, `{symbol}_{timeframe}.parquet`.

A file is replaced as a whole and never changed in place, so a reader sees all of it or the one before. What the
files cover is kept in `inventory.json` beside them, by each file's time and size: listing needs no Parquet reader.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from storage_core.bar_table import BarTable, checked, fingerprint, merged
from storage_core.errors import BadSymbol, BadTimeframe, BarsDamaged, NoBars
from storage_core.files import disk_problems, file_lock, write_bytes

__all__ = ["TIMEFRAMES", "BarStore", "BarTable", "Coverage", "fingerprint"]

SYMBOL = re.compile(r"[A-Z0-9]{1,15}-[A-Z0-9]{1,15}")
TIMEFRAMES: dict[str, int] = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14_400, "1d": 86_400}
"""Seconds of each timeframe."""
INVENTORY = "inventory.json"
_FILE = re.compile(rf"({SYMBOL.pattern})_({'|'.join(TIMEFRAMES)})\.parquet")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EVER, _NEVER = -(2**63), 2**63 - 1
_MOST_NAMED = 12


@dataclass(frozen=True, slots=True)
class Coverage:
    """What is stored of one symbol and timeframe; `first` and `last` are open times of bars, UTC."""

    symbol: str
    timeframe: str
    rows: int
    first: datetime
    last: datetime
    bytes: int


class BarStore:
    """The bars under one folder, which is created when missing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        with disk_problems(root):
            root.mkdir(parents=True, exist_ok=True)

    def path(self, symbol: str, timeframe: str) -> Path:
        """Where the bars are, or would be; raises BadSymbol and BadTimeframe before any path is built."""
        if not SYMBOL.fullmatch(symbol):
            raise BadSymbol(symbol)
        if timeframe not in TIMEFRAMES:
            raise BadTimeframe(timeframe, tuple(TIMEFRAMES))
        return self.root / f"{symbol}_{timeframe}.parquet"

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
            else:
                coverages.append(_coverage(name[1], name[2], entry))
        if entries != kept:
            write_bytes(self.root / INVENTORY, json.dumps(entries, indent=1).encode())
        return sorted(coverages, key=lambda one: (one.symbol, TIMEFRAMES[one.timeframe])), damaged

    def read(self, symbol: str, timeframe: str, start: datetime | None = None, end: datetime | None = None) -> BarTable:
        """The bars that open at or after `start` and before `end` (aware; None: without limit).

        Raises NoBars when there are none, saying what there is, and BarsDamaged naming the file.
        """
        from storage_core.bar_files import read_bars

        path = self.path(symbol, timeframe)
        if path.exists():
            bars = read_bars(path, _micros(start, _EVER), _micros(end, _NEVER))
            if len(bars):
                return bars
        raise NoBars(symbol, timeframe, self._available(symbol, timeframe))

    def merge(self, symbol: str, timeframe: str, bars: BarTable | Mapping[str, Any]) -> Coverage:
        """Add bars to what is stored; a bar of the same time replaces the old one. Returns the new coverage.

        Raises BadBars when a row is impossible, BarsDamaged when what is stored cannot be read, DiskProblem.
        """
        from storage_core.bar_files import read_bars, write_bars

        path = self.path(symbol, timeframe)
        new = checked(f"{symbol} {timeframe}", bars.columns() if isinstance(bars, BarTable) else bars)
        with file_lock(self.root / ".lock"):
            write_bars(path, merged(read_bars(path, _EVER, _NEVER), new) if path.exists() else new)
        return _coverage(symbol, timeframe, _entry(path, None))

    def _kept_inventory(self) -> dict[str, dict[str, int]]:
        try:
            kept = json.loads((self.root / INVENTORY).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # it only repeats what the files say, and is made again
            return {}
        return kept if isinstance(kept, dict) else {}

    def _available(self, symbol: str, timeframe: str) -> str:
        inventory = self.inventory()
        near = [one for one in inventory if one.symbol == symbol]
        near = near or [one for one in inventory if one.timeframe == timeframe] or inventory
        named = [f"{one.symbol} {one.timeframe} ({one.first:%Y-%m-%d} to {one.last:%Y-%m-%d})" for one in near]
        more = [f"{len(named) - _MOST_NAMED} more"] if len(named) > _MOST_NAMED else []
        return ", ".join(named[:_MOST_NAMED] + more) or "nothing yet"


def _entry(path: Path, kept: dict[str, int] | None) -> dict[str, int]:
    """What the inventory keeps of one file: the kept entry, when it is of this very file."""
    from_stat = path.stat()
    identity = {"mtime_ns": from_stat.st_mtime_ns, "bytes": from_stat.st_size}
    if kept is not None and {**kept, **identity} == kept and {"rows", "first", "last"} <= kept.keys():
        return kept
    from storage_core.bar_files import extent

    return {**identity, **extent(path)}


def _coverage(symbol: str, timeframe: str, entry: Mapping[str, int]) -> Coverage:
    first, last = (_EPOCH + timedelta(microseconds=entry[name]) for name in ("first", "last"))
    return Coverage(symbol, timeframe, entry["rows"], first, last, entry["bytes"])


def _micros(instant: datetime | None, otherwise: int) -> int:
    if instant is None:
        return otherwise
    if instant.tzinfo is None:
        raise ValueError(f"an instant needs a time zone, {instant!r} has none")
    return (instant - _EPOCH) // timedelta(microseconds=1)
