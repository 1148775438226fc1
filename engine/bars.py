"""Bars: what a market did, one row a bar, and what makes them fit to trade on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BarsError

PRICES = ("open", "high", "low", "close")
_PIECE = 16_384  # bars checked at a time, so that they stay in the processor's cache


@dataclass(frozen=True, slots=True)
class Bars:
    """OHLCV of one symbol and timeframe; a bar is known only at its close.

    `timestamp`: open time, int64[n] microseconds UTC. `open high low close volume`: float64[n], prices in the quote
    currency, volume in the base currency. Arrays are used as they are, never copied.
    """

    timestamp: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.timestamp)

    def slice(self, start: int, stop: int) -> "Bars":
        """Bars start..stop-1 as views of the same memory."""
        return Bars(
            timestamp=self.timestamp[start:stop],
            open=self.open[start:stop],
            high=self.high[start:stop],
            low=self.low[start:stop],
            close=self.close[start:stop],
            volume=self.volume[start:stop],
        )


def validate_bars(bars: Bars) -> Bars:
    """The same bars as read-only, contiguous arrays of the engine's types; BarsError names the first bad row and why.

    Sound bars: at least one; equal lengths; timestamps strictly increasing; prices finite and > 0; volume finite and
    >= 0; low <= min(open, close); high >= max(open, close).
    """
    clean = typed_bars(bars)
    if len(clean) == 0:
        raise BarsError(0, "timestamp", "no bars", "at least one bar")
    for start in range(0, len(clean), _PIECE):
        # One bar of overlap, so that no pair of neighbours goes unseen.
        part = clean.slice(max(0, start - 1), start + _PIECE)
        if not _sound(part):
            raise _first_problem(clean)
    return clean


def _sound(bars: Bars) -> bool:
    """Whether all is well, in as few passes as possible: the prices between a sound low and high are sound too."""
    low, high, volume = bars.low, bars.high, bars.volume
    return bool(
        (low > 0).all()
        and (low <= bars.open).all()
        and (low <= bars.close).all()
        and (high >= bars.open).all()
        and (high >= bars.close).all()
        and (high < np.inf).all()
        and (volume >= 0).all()
        and (volume < np.inf).all()
        and (bars.timestamp[1:] > bars.timestamp[:-1]).all()
    )


def _first_problem(bars: Bars) -> BarsError:
    return min((problem for problem in _problems(bars) if problem is not None), key=lambda problem: problem.row)


def typed_bars(bars: Bars) -> Bars:
    """The same bars as read-only, contiguous arrays of the engine's types, their values unchecked."""
    columns = {name: _column(bars, name) for name in ("timestamp", *PRICES, "volume")}
    length = len(columns["timestamp"])
    for name, values in columns.items():
        if values.ndim != 1 or len(values) != length:
            raise BarsError(0, name, f"shape {values.shape}", f"one value for each of the {length} timestamps")
    return Bars(**columns)


def _column(bars: Bars, name: str) -> NDArray[Any]:
    dtype = np.int64 if name == "timestamp" else np.float64
    try:
        column = np.ascontiguousarray(getattr(bars, name), dtype=dtype).view()
    except (TypeError, ValueError) as error:
        raise BarsError(0, name, str(error), f"an array of {np.dtype(dtype).name}") from error
    column.flags.writeable = False  # the caller's array stays as it is; kernels see one type of array only
    return column


def _problems(bars: Bars) -> list[BarsError | None]:
    finite = [
        _first(~(np.isfinite(values) & (values > 0)), name, values, "a finite price above 0")
        for name, values in ((name, getattr(bars, name)) for name in PRICES)
    ]
    volume_bad = ~(np.isfinite(bars.volume) & (bars.volume >= 0))
    backwards = np.zeros(len(bars), dtype=np.bool_)
    backwards[1:] = bars.timestamp[1:] <= bars.timestamp[:-1]
    body_low = np.minimum(bars.open, bars.close)
    body_high = np.maximum(bars.open, bars.close)
    return [
        *finite,
        _first(backwards, "timestamp", bars.timestamp, "later than the bar before"),
        _first(volume_bad, "volume", bars.volume, "a finite volume of 0 or more"),
        _first(bars.low > body_low, "low", bars.low, "at most the lower of open and close"),
        _first(bars.high < body_high, "high", bars.high, "at least the higher of open and close"),
    ]


def _first(bad: NDArray[np.bool_], column: str, values: NDArray[np.generic], allowed: str) -> BarsError | None:
    if not bad.any():
        return None
    row = int(bad.argmax())
    return BarsError(row, column, values[row].item(), allowed)
