"""What a fetch of bars from an exchange is asked for: checked at the door, before there is a job."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any

from storage_core.bar_names import SYMBOL, TIMEFRAMES, WINS, Wins
from storage_core.bar_store import Coverage
from storage_core.errors import BadFilter

KIND = "fetch_bars"
EXCHANGES = ("upbit", "binance")
"""Fetched without anything else installed; any other by its name in ccxt, e.g. ccxt:kraken."""
EARLIEST = datetime(2009, 1, 3, tzinfo=UTC)
FIELDS = ("exchange", "symbol", "timeframe", "start", "end", "wins")
_CCXT = re.compile(r"ccxt:[a-z0-9]{2,30}")


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """Bars of one symbol that open at or after `start` and before `end` (None: as far as they are closed).

    `wins` says whose values stay where a stored bar differs: the report names those bars either way.
    """

    exchange: str
    symbol: str
    timeframe: str
    start: datetime
    end: datetime | None = None
    wins: Wins = "stored"

    def as_args(self) -> dict[str, Any]:
        """The args of the job; `from_args` reads them."""
        instants = {"start": self.start.isoformat(), "end": self.end and self.end.isoformat()}
        return {
            "exchange": self.exchange, "symbol": self.symbol, "timeframe": self.timeframe, **instants,
            "wins": self.wins,
        }  # fmt: skip

    @classmethod
    def from_args(cls, args: Mapping[str, Any]) -> FetchRequest:
        """What `as_args` gave."""
        end = args["end"] and datetime.fromisoformat(args["end"])
        return cls(**{**args, "start": datetime.fromisoformat(args["start"]), "end": end})


def parse_fetch(raw: Mapping[str, Any], *, inventory: Sequence[Coverage], now: datetime) -> FetchRequest:
    """The request in `raw` (FIELDS; dates ISO, UTC where they say nothing else). Raises BadFilter naming the field.

    Without `start`: from where the stored bars end.
    """
    exchange = _exchange(str(raw.get("exchange") or ""))
    symbol = str(raw.get("symbol") or "").strip().upper().replace("/", "-")
    if not SYMBOL.fullmatch(symbol):
        raise BadFilter("symbol", raw.get("symbol") or "", "quote-base in upper case, e.g. KRW-BTC or USDT-BTC")
    timeframe = str(raw.get("timeframe") or "")
    if timeframe not in TIMEFRAMES:
        raise BadFilter("timeframe", timeframe, ", ".join(TIMEFRAMES))
    wins = raw.get("wins") or "stored"
    if wins not in WINS:
        raise BadFilter("wins", wins, " or ".join(WINS))
    start, end = _instant("start", raw.get("start")), _instant("end", raw.get("end"))
    start = start or _after_stored(symbol, timeframe, inventory)
    if not EARLIEST <= start < now:
        raise BadFilter("start", f"{start:%Y-%m-%d}", f"a date from {EARLIEST:%Y-%m-%d} to today")
    if end is not None and end <= start:
        raise BadFilter("end", f"{end:%Y-%m-%d}", f"a date after {start:%Y-%m-%d}, or nothing")
    return FetchRequest(exchange, symbol, timeframe, start, end, wins)


def _exchange(name: str) -> str:
    if name in EXCHANGES or _CCXT.fullmatch(name):
        return name
    near = get_close_matches(name.lower(), EXCHANGES, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise BadFilter("exchange", name[:40], f"{', '.join(EXCHANGES)}, or ccxt: and a name such as ccxt:kraken{hint}")


def _instant(field: str, value: object) -> datetime | None:
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        raise BadFilter(field, str(value)[:40], "a date such as 2024-01-31") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _after_stored(symbol: str, timeframe: str, inventory: Sequence[Coverage]) -> datetime:
    found = next((one for one in inventory if (one.symbol, one.timeframe) == (symbol, timeframe)), None)
    if found is None:
        raise BadFilter("start", "", f"the date of the first bar wanted, as no bars of {symbol} {timeframe} are stored")
    return found.last + timedelta(seconds=TIMEFRAMES[timeframe])
