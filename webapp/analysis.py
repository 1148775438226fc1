"""Numbers of the analysis tab: how the returns of trades and days are spread. Loads pyarrow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from storage_core import result_store
from storage_core.backtest_keeping import active_symbols
from storage_core.models import Backtest
from storage_core.settings import Settings
from webapp import curves
from webapp.curves import Curve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Numbers = NDArray[np.int64]

DAY: Final = 86_400_000_000
WINDOWS: Final = (365, 180, 90, 60, 30)
MOST_BINS: Final = 28
COLUMNS: Final = (
    "symbol", "timestamp", "exit_timestamp", "return_pct", "pnl", "mae_pct", "mfe_pct", "exit_reason", "status",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ClosedTrades:
    """Closed trades of the symbols that count, as arrays of equal length; returns and excursions in percent."""

    number: Numbers
    symbol: NDArray[Any]
    entered: Numbers
    left: Numbers
    return_pct: Floats
    pnl: Floats
    mae_pct: Floats
    mfe_pct: Floats
    reason: NDArray[Any]

    def __len__(self) -> int:
        return len(self.entered)

    def only(self, rows: NDArray[Any]) -> ClosedTrades:
        """Those of `rows`."""
        return ClosedTrades(**{name: getattr(self, name)[rows] for name in self.__slots__})


@dataclass(frozen=True, slots=True)
class Group:
    """Trades that have something in common; returns in percent, None without trades."""

    name: Any
    count: int
    wins: int
    mean_pct: float | None
    pnl: float


def closed_trades(settings: Settings, backtest: Backtest) -> ClosedTrades:
    """Closed trades with a known return, numbered as the list of trades numbers them."""
    table = result_store.read_table(settings, backtest, "symbol_signals", columns=list(COLUMNS))
    entered = curves.micros_of(table["timestamp"])
    number = np.empty(len(entered), np.int64)
    number[np.argsort(entered, kind="stable")] = np.arange(1, len(entered) + 1)
    symbol, reason, status = (np.array(table[name].to_pylist(), dtype=object)
                              for name in ("symbol", "exit_reason", "status"))  # fmt: skip
    numbers = {name: table[name].to_numpy() for name in ("return_pct", "pnl", "mae_pct", "mfe_pct")}
    left = table["exit_timestamp"].cast("int64").fill_null(-1).to_numpy()
    trades = ClosedTrades(number=number, symbol=symbol, entered=entered, left=left, reason=reason, **numbers)
    active = active_symbols(backtest)
    chosen = np.array([one in active for one in symbol.tolist()], dtype=bool)
    return trades.only(np.flatnonzero(chosen & (status != "open") & np.isfinite(trades.return_pct)))


def histogram(values: Floats) -> tuple[Floats, Numbers]:
    """(edges, counts): bins of a round width with an edge at 0; the rare far ones are counted in the outer bins."""
    low, high = (float(end) for end in np.quantile(values, (0.005, 0.995)))
    width = _round_width(max(high - low, 1e-6) / MOST_BINS)
    first, last = math.floor(low / width), math.ceil(high / width)
    edges = np.arange(first, max(last, first + 1) + 1) * width
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return edges, counts


def _round_width(rough: float) -> float:
    size = 10.0 ** math.floor(math.log10(rough))
    return float(next(times * size for times in (1.0, 2.0, 2.5, 5.0, 10.0) if times * size >= rough))


def grouped(trades: ClosedTrades, keys: NDArray[Any], names: Sequence[Any]) -> list[Group]:
    """Trades by key: one group for each of `names`."""
    groups = []
    for name in names:
        part = trades.only(np.flatnonzero(keys == name))
        mean = float(part.return_pct.mean()) if len(part) else None
        groups.append(Group(name, len(part), int((part.pnl > 0).sum()), mean, float(np.nansum(part.pnl))))
    return groups


def weekdays_and_hours(stamps: Numbers, zone: str) -> tuple[Numbers, Numbers]:
    """Weekday (0 = Monday) and hour of instants in `zone`."""
    local = stamps + _offsets(stamps, zone)
    days = local // DAY
    return (days + 3) % 7, local % DAY // 3_600_000_000


def _offsets(stamps: Numbers, zone: str) -> Numbers:
    """What the clock of `zone` adds to UTC, looked up once an hour that occurs."""
    place = ZoneInfo(zone)
    hours, where = np.unique(stamps // 3_600_000_000, return_inverse=True)
    known = [_offset(datetime.fromtimestamp(int(hour) * 3600, UTC), place) for hour in hours.tolist()]
    found: Numbers = np.array(known, dtype=np.int64)[where]
    return found


def _offset(instant: datetime, place: ZoneInfo) -> int:
    return (instant.astimezone(place).utcoffset() or timedelta()) // timedelta(microseconds=1)


def daily_returns(equity: Curve, start: float, zone: str) -> tuple[Numbers, Floats]:
    """(day, return): each calendar day of `zone` (days since 1970), with the return from its last equity to the next.

    Days without a bar repeat the equity before them. Empty when the equity was ever zero or below.
    """
    if not len(equity) or equity.value.min() <= 0.0:
        return np.empty(0, np.int64), np.empty(0)
    offset = _offset(datetime.fromtimestamp(int(equity.timestamp[0]) / 1e6, UTC), ZoneInfo(zone))
    local = (equity.timestamp + offset) // DAY  # an hour of summer time moves no close of a day by more than that
    days = np.arange(local[0], local[-1] + 1)
    last = equity.value[np.searchsorted(local, days, side="right") - 1]
    before = np.concatenate([[start], last[:-1]])
    return days, last / before - 1.0


def sharpe_window(days: int) -> int | None:
    """The longest window of days that still leaves two thirds of the time to draw; None when even 30 are too many."""
    return next((window for window in WINDOWS if window * 3 <= days), None)


def rolling_sharpe(returns: Floats, window: int, annual_days: int) -> Floats:
    """Sharpe ratio of the last `window` daily returns at each day from the window's end on; nan without any change."""
    from numpy.lib.stride_tricks import sliding_window_view

    windows = sliding_window_view(returns, window)
    spread = windows.std(axis=1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Floats = windows.mean(axis=1) / spread * math.sqrt(annual_days)
    return np.where(spread > 1e-12, ratio, np.nan)


def representative(trades: ClosedTrades, most: int) -> NDArray[Any]:
    """At most `most` rows: the extremes of every column, and the others evenly in time."""
    if len(trades) <= most:
        return np.arange(len(trades))
    known = [column for column in (trades.return_pct, trades.mae_pct, trades.mfe_pct) if np.isfinite(column).any()]
    extremes = [end(column) for column in known for end in (np.nanargmin, np.nanargmax)]
    evenly = np.linspace(0, len(trades) - 1, most - len(extremes)).astype(np.int64)
    return np.unique(np.concatenate([evenly, extremes]))
