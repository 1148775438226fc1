"""Bars in memory: six arrays of equal length, their checks and their fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage_core.bar_names import COLUMNS, PRICES
from storage_core.errors import BadBars


@dataclass(frozen=True, slots=True)
class BarTable:
    """Bars as arrays of equal length: `timestamp` int64 microseconds UTC of the open, the rest float64."""

    timestamp: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.timestamp)

    def columns(self) -> dict[str, NDArray[Any]]:
        """The six arrays by name."""
        return {name: getattr(self, name) for name in COLUMNS}

    def between(self, low: int, high: int) -> BarTable:
        """The bars with low <= timestamp < high (microseconds), as views."""
        start, stop = np.searchsorted(self.timestamp, [low, high], side="left")
        return BarTable(**{name: column[start:stop] for name, column in self.columns().items()})


def fingerprint(bars: BarTable) -> str:
    """sha256 (hexadecimal) of the bars' values: the same bars give the same digest wherever they came from."""
    digest = hashlib.sha256(len(bars).to_bytes(8, "little"))
    for name, column in bars.columns().items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(column, dtype="<i8" if name == "timestamp" else "<f8").tobytes())
    return digest.hexdigest()


def checked(where: str, columns: Mapping[str, Any]) -> BarTable:
    """Bars from any arrays, copied; raises BadBars naming the first impossible row.

    Possible: times strictly increasing; prices finite and > 0; volume finite and >= 0; low <= open, close <= high.
    """
    if missing := [name for name in COLUMNS if name not in columns]:
        raise BadBars(where, f"columns are missing: {', '.join(missing)}")
    stamps = np.array(columns["timestamp"])
    if stamps.dtype.kind not in "iu":
        raise BadBars(where, f"timestamp is {stamps.dtype}, not whole microseconds")
    table = BarTable(stamps.astype(np.int64), *(_floats(where, name, columns[name]) for name in COLUMNS[1:]))
    lengths = {len(column) for column in table.columns().values()}
    if len(lengths) != 1:
        raise BadBars(where, f"the columns have different lengths: {sorted(lengths)}")
    _check_rows(where, table)
    return table


def _floats(where: str, name: str, values: Any) -> NDArray[np.float64]:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadBars(where, f"{name} is not a column of numbers ({error})") from error


def _check_rows(where: str, bars: BarTable) -> None:
    prices = np.stack([getattr(bars, name) for name in PRICES])
    with np.errstate(invalid="ignore"):
        problems = {
            "timestamp is not later than the one before": np.diff(bars.timestamp, prepend=-(2**62)) <= 0,
            "a price is not a number above 0": ~(np.isfinite(prices) & (prices > 0)).all(axis=0),
            "volume is not a number of at least 0": ~(np.isfinite(bars.volume) & (bars.volume >= 0)),
            "low is above open or close": bars.low > np.minimum(bars.open, bars.close),
            "high is below open or close": bars.high < np.maximum(bars.open, bars.close),
        }
    for problem, rows in problems.items():
        if rows.any():
            raise BadBars(where, f"row {int(np.argmax(rows))}: {problem}")
