"""What bars are called: symbols, timeframes, and the names of their files."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from storage_core.errors import BadSymbol, BadTimeframe

Wins: TypeAlias = Literal["stored", "new"]
WINS: tuple[Wins, ...] = ("stored", "new")
"""Whose values stay where a stored bar differs from a new one."""
PRICES = ("open", "high", "low", "close")
COLUMNS = ("timestamp", *PRICES, "volume")
SYMBOL = re.compile(r"[A-Z0-9]{1,15}-[A-Z0-9]{1,15}")
TIMEFRAMES: dict[str, int] = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14_400, "1d": 86_400}
"""Seconds of each timeframe."""


def file_name(symbol: str, timeframe: str) -> str:
    """`KRW-BTC_1h.parquet`; raises BadSymbol and BadTimeframe."""
    if not SYMBOL.fullmatch(symbol):
        raise BadSymbol(symbol)
    if timeframe not in TIMEFRAMES:
        raise BadTimeframe(timeframe, tuple(TIMEFRAMES))
    return f"{symbol}_{timeframe}.parquet"
