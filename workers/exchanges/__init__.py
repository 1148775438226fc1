"""Exchanges, all alike: `open_exchange(name)` gives one that hands out bars, a page at a time, oldest first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from storage_core.settings import Settings

Pause: TypeAlias = Callable[[float], None]
"""Waits so many seconds, or raises because the job must stop."""


@dataclass(frozen=True, slots=True)
class Page:
    """Closed bars (n, 6: time in microseconds, open, high, low, close, volume; times increasing) and where to go on.

    `next` is None when there is nothing after this page.
    """

    timestamp: NDArray[np.int64]
    values: NDArray[np.float64]
    next: datetime | None

    def columns(self) -> dict[str, NDArray[np.float64] | NDArray[np.int64]]:
        """The bars as `BarStore.merge` takes them."""
        names = ("open", "high", "low", "close", "volume")
        return {"timestamp": self.timestamp, **{name: self.values[:, i] for i, name in enumerate(names)}}


class Exchange(Protocol):
    """An exchange. Errors are those of `workers.exchanges.errors`; requests keep to its limits by themselves."""

    name: str

    @property
    def timeframes(self) -> Mapping[str, str]:
        """Our timeframes that it has, with its own name of each."""

    def symbols(self) -> Sequence[str]:
        """Every market, in our spelling: KRW-BTC."""

    def first(self, symbol: str, timeframe: str) -> datetime | None:
        """An instant before which it has no bars; None when it has none at all."""

    def page(self, symbol: str, timeframe: str, *, start: datetime, end: datetime) -> Page:
        """The oldest closed bars that open at or after `start` and before `end`, as many as one request gives."""

    def close(self) -> None:
        """Give connections back."""


def open_exchange(name: str, settings: Settings, pause: Pause) -> Exchange:
    """The exchange `name`: upbit, binance, or ccxt:<name in ccxt>. Raises NotInstalled, ExchangeRefused."""
    if name == "upbit":
        from workers.exchanges.upbit import Upbit

        return Upbit(settings.upbit_url, pause)
    if name == "binance":
        from workers.exchanges.binance import Binance

        return Binance(settings.binance_url, pause)
    from workers.exchanges.by_ccxt import ByCcxt

    return ByCcxt(name.removeprefix("ccxt:"), pause)
