"""Trades of a result: found, sorted, a page at a time; numbered in the order of their entries. Loads pyarrow."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypedDict

from storage_core import result_store
from storage_core.models import Backtest
from storage_core.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pyarrow import Table

PAGE: Final = 50
SORTS: Final[Mapping[str, str]] = {
    "number": "timestamp", "symbol": "symbol", "side": "type", "exit": "exit_timestamp", "entry_price": "entry_price",
    "exit_price": "exit_price", "quantity": "quantity", "pnl": "pnl", "return": "return_pct", "mae": "mae_pct",
    "mfe": "mfe_pct", "bars": "hold_bars", "reason": "exit_reason",
}  # fmt: skip
"""What a list of trades can be sorted by, and the column that decides."""
SIDES: Final[Mapping[str, str]] = {"long": "buy", "short": "sell"}
RISKY: Final = tuple("=+-@\t\r\n'")
OUTCOMES: Final = ("profit", "loss", "open")
CSV_COLUMNS: Final = (
    "number", "symbol", "side", "entry_at", "exit_at", "entry_price", "exit_price", "quantity", "pnl", "return_pct",
    "hold_bars", "costs", "exit_reason", "mae_pct", "mfe_pct",
)  # fmt: skip


class Trade(TypedDict):
    """One round trip, as stored."""

    number: int
    symbol: str
    side: str
    entry_at: datetime
    exit_at: datetime | None
    entry_price: float
    exit_price: float | None
    quantity: float
    pnl: float | None
    return_pct: float | None
    hold_bars: int | None
    costs: float
    exit_reason: str
    mae_pct: float | None
    mfe_pct: float | None
    open: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which trades, in which order; empty = any. `sort` is a key of SORTS, with a minus sign for the largest first."""

    symbol: str = ""
    side: str = ""
    outcome: str = ""
    reason: str = ""
    sort: str = "-number"


@dataclass(frozen=True)
class TradesPage:
    """Some trades, how many were found, of how many, and where they stand."""

    trades: Sequence[Trade]
    found: int
    total: int
    page: int
    pages: int


ANY: Final = Wanted()


def read_trades(
    settings: Settings, backtest: Backtest, wanted: Wanted = ANY, *, page: int = 1, size: int = PAGE
) -> TradesPage:
    """The `page`-th page (1 = first); a page beyond the last one is the last one."""
    table = result_store.read_table(settings, backtest, "symbol_signals")
    rows, numbers = _found(table, wanted)
    pages = max(1, -(-len(rows) // size))
    page = min(max(page, 1), pages)
    shown = rows[(page - 1) * size : page * size]
    return TradesPage(_listed(table, shown, numbers), len(rows), table.num_rows, page, pages)


def exit_reasons(settings: Settings, backtest: Backtest) -> list[str]:
    """Every exit reason that occurs, "open" among them."""
    table = result_store.read_table(settings, backtest, "symbol_signals", columns=["exit_reason", "status"])
    return sorted(_reasons(table).unique().to_pylist())


def csv_lines(settings: Settings, backtest: Backtest, wanted: Wanted) -> Iterator[str]:
    """Every trade that is wanted as CSV; the table is read before the first line comes."""
    table = result_store.read_table(settings, backtest, "symbol_signals")
    rows, numbers = _found(table, wanted)
    return _csv_lines(_listed(table, rows[start : start + 1000], numbers) for start in range(0, len(rows), 1000))


def _csv_lines(parts: Iterable[Sequence[Trade]]) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for part in parts:
        writer.writerows([_csv_cell(trade[name]) for name in CSV_COLUMNS] for trade in part)  # type: ignore[literal-required]
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()


def _csv_cell(value: Any) -> Any:
    """Nothing for what is not known; a text that a spreadsheet would take for a formula gets a ' before it."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else ""
    return f"'{value}" if isinstance(value, str) and value[:1] in RISKY else value


def read_symbols(settings: Settings, backtest: Backtest) -> list[dict[str, Any]]:
    """The summary of each symbol, as stored, best first."""
    rows: list[dict[str, Any]] = result_store.read_table(settings, backtest, "symbol_summary").to_pylist()
    return sorted(rows, key=lambda row: -(row["total_pnl_pct"] if row["total_pnl_pct"] is not None else -1e300))


def _found(table: Table, wanted: Wanted) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows that are wanted, in order, and the number of every row."""
    import numpy as np

    entered = table["timestamp"].cast("int64").to_numpy()
    by_entry = np.argsort(entered, kind="stable")
    numbers = np.empty(len(entered), np.int64)
    numbers[by_entry] = np.arange(1, len(entered) + 1)
    keep = np.ones(len(entered), dtype=bool)
    texts = {"symbol": wanted.symbol, "type": SIDES.get(wanted.side, ""), "exit_reason": wanted.reason}
    for column, value in texts.items():
        if value:
            keep &= _texts(table, column) == value
    if wanted.outcome:
        still, pnl = _texts(table, "status") == "open", table["pnl"].cast("float64").to_numpy()
        keep &= {"open": still, "profit": ~still & (pnl > 0), "loss": ~still & (pnl < 0)}[wanted.outcome]
    rows = by_entry[keep[by_entry]]
    return _sorted(table, rows, wanted.sort), numbers


def _sorted(table: Table, rows: NDArray[np.int64], sort: str) -> NDArray[np.int64]:
    """`rows`, which are in order of entry, by a column; what has no value comes last either way."""
    import numpy as np

    name, falling = SORTS[sort.removeprefix("-")], sort.startswith("-")
    if name == "timestamp":
        return rows[::-1] if falling else rows
    if name in ("symbol", "type", "exit_reason"):
        order = np.argsort(_texts(table, name)[rows].astype(str), kind="stable")
        return rows[order[::-1] if falling else order]
    column = table[name].cast("int64") if name == "exit_timestamp" else table[name]
    values = column.cast("float64", safe=False).to_numpy()[rows]
    order = np.argsort(-values if falling else values, kind="stable")  # nan is last
    return rows[order]


def _texts(table: Table, name: str) -> NDArray[Any]:
    """A column of text as an array; each different text is made once, however many rows have it."""
    import numpy as np

    column = _reasons(table) if name == "exit_reason" else table[name]
    encoded = column.combine_chunks().dictionary_encode()
    words: NDArray[Any] = np.array([*encoded.dictionary.to_pylist(), ""], dtype=object)
    return words[encoded.indices.fill_null(len(words) - 1).to_numpy()]


def _reasons(table: Table) -> Any:
    """Why each trade ended; of one that has not, its status."""
    import pyarrow.compute as pc

    return pc.coalesce(table["exit_reason"], table["status"])


def _listed(table: Table, rows: NDArray[np.int64], numbers: NDArray[np.int64]) -> list[Trade]:
    import pyarrow as pa

    # Not table.take: given an array, pyarrow looks for pandas, which the web process must not load.
    parts = [table.slice(row, 1) for row in rows.tolist()]
    listed = pa.concat_tables(parts).to_pylist() if parts else []
    return [_trade(row, int(number)) for row, number in zip(listed, numbers[rows].tolist(), strict=True)]


def _trade(row: Mapping[str, Any], number: int) -> Trade:
    return {
        "number": number,
        "symbol": row["symbol"],
        "side": "long" if row["type"] == "buy" else "short",
        "entry_at": row["timestamp"],
        "exit_at": row["exit_timestamp"],
        "entry_price": row["entry_price"],
        "exit_price": row["exit_price"],
        "quantity": row["quantity"],
        "pnl": row["pnl"],
        "return_pct": row["return_pct"],
        "hold_bars": row["hold_bars"],
        "costs": (row["fee_amount"] or 0.0) + (row["slippage_amount"] or 0.0),
        "exit_reason": row["exit_reason"] or row["status"],
        "mae_pct": row["mae_pct"],
        "mfe_pct": row["mfe_pct"],
        "open": row["status"] == "open",
    }
