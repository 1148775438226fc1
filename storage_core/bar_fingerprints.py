"""The digest of stored bars in a range, as of now: to tell whether they changed since a result was computed."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from storage_core.bar_store import BarStore


@dataclass(frozen=True)
class _Wanted:
    """Bars of one state; equal when the bars are."""

    state: Hashable
    symbol: str
    timeframe: str
    start: datetime | None
    end: datetime | None
    newest: int | None
    store: BarStore = field(compare=False)


def fingerprint_now(
    store: BarStore,
    symbol: str,
    timeframe: str,
    start: datetime | None,
    end: datetime | None,
    *,
    newest: int | None = None,
) -> str:
    """sha256 (64 hexadecimal digits) of the stored bars that open from `start` on and before `end` (aware).

    `newest`: only of so many at the end of them. The same bars give what a result's metadata calls
    data[symbol]["sha256"]. Read once for each state of the bars; asking again costs a look at the file's time.
    Raises NoBars and BarsDamaged.
    """
    return _fingerprint(_Wanted(store.state(symbol, timeframe), symbol, timeframe, start, end, newest, store))


@lru_cache(maxsize=4096)
def _fingerprint(wanted: _Wanted) -> str:
    from storage_core.bar_table import BarTable, fingerprint

    bars = wanted.store.read(wanted.symbol, wanted.timeframe, wanted.start, wanted.end)
    if wanted.newest is not None:
        bars = BarTable(**{name: column[-wanted.newest :] for name, column in bars.columns().items()})
    return fingerprint(bars)
