"""The recorded answers of tests/data/exchanges: status line, headers, an empty line, the body to the last byte."""

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

PRICES = ("opening_price", "high_price", "low_price", "trade_price", "candle_acc_trade_volume")
FOLDER = Path(__file__).parent / "data" / "exchanges"


@dataclass(frozen=True)
class Recording:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body; numbers with a point as the text that stands there."""
        return json.loads(self.body, parse_float=str)


def recording(name: str) -> Recording:
    head, _, body = (FOLDER / name).read_bytes().partition(b"\n\n")
    status, *lines = head.decode("ascii").splitlines()
    headers = dict(line.split(": ", 1) for line in lines)
    return Recording(int(status.split(" ")[1]), headers, body)


def of_upbit(name: str) -> list[tuple[int | Decimal, ...]]:
    """(microseconds, five exact decimals) of each candle that stands in the file, oldest first."""
    candles = recording(name).json()
    return sorted(
        (_micros(f"{one['candle_date_time_utc']}+00:00"), *(Decimal(one[field]) for field in PRICES)) for one in candles
    )


def of_binance(name: str) -> list[tuple[int | Decimal, ...]]:
    return sorted((row[0] * 1000, *(Decimal(text) for text in row[1:6])) for row in recording(name).json())


def _micros(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000
