"""A first look at a file of bars: what it is, its columns, its first rows, and a guess what is what.

Reads a few kilobytes of text, or the footer of Parquet: cheap, whatever the file's size.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from storage_core.bar_names import COLUMNS
from storage_core.bar_store import SYMBOL, TIMEFRAMES
from storage_core.bar_upload_errors import BadUpload
from storage_core.bar_upload_limits import LONGEST_CELL, MOST_COLUMNS, SHOWN_ROWS

Kind: TypeAlias = Literal["csv", "parquet"]

HEAD = 65_536
DELIMITERS = (",", ";", "\t", "|")
NAMES: Mapping[str, tuple[str, ...]] = {
    "timestamp": (
        "timestamp", "time", "datetime", "date", "open_time", "opentime", "candle_date_time_utc", "unix", "ts", "t",
        "open time", "date_time",
    ),
    "open": ("open", "o", "opening_price", "open_price"),
    "high": ("high", "h", "high_price", "max"),
    "low": ("low", "l", "low_price", "min"),
    "close": ("close", "c", "trade_price", "closing_price", "close_price", "last"),
    "volume": ("volume", "v", "vol", "candle_acc_trade_volume", "base_volume", "amount"),
}  # fmt: skip
"""What columns are called elsewhere, the likeliest first."""
QUOTES = ("USDT", "USDC", "BUSD", "FDUSD", "KRW", "EUR", "USD", "BTC", "ETH")
FORMATS: Mapping[bytes, str] = {
    b"PK\x03\x04": "a zip archive (or an Excel file): unpack it, or save it as CSV, and send that",
    b"\x1f\x8b": "packed with gzip: unpack it and send the CSV inside",
    b"BZh": "packed with bzip2: unpack it and send the CSV inside",
    b"\x28\xb5\x2f\xfd": "packed with zstd: unpack it and send the CSV inside",
    b"\xfd7zXZ": "packed with xz: unpack it and send the CSV inside",
    b"\xd0\xcf\x11\xe0": "an Excel file: save it as CSV and send that",
    b"SQLite format 3": "a SQLite database: export the table as CSV and send that",
    b"\xff\xfe": "text in UTF-16: save it as UTF-8",
    b"\xfe\xff": "text in UTF-16: save it as UTF-8",
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
}
"""What files begin with that are neither CSV nor Parquet."""
_NUMBER = re.compile(r"[+-]?[\d.,\s]*\d[\d.,]*([eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class Sniffed:
    """What the file seems to be. `mapping` names the column of each of ours that could be guessed."""

    kind: Kind
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    mapping: Mapping[str, str]
    symbol: str = ""
    timeframe: str = ""
    delimiter: str = ","
    decimal: str = "."
    header: bool = True


def sniff(path: Path, name: str) -> Sniffed:
    """Look at `path`, which was called `name`. Raises BadUpload saying what the file is instead."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    symbol, timeframe = _from_name(name)
    if head.startswith(b"PAR1"):
        from storage_core.bar_upload_parquet import look

        columns, rows = look(path)
        return Sniffed("parquet", columns, rows, guess_mapping(columns), symbol, timeframe)
    for start, said in FORMATS.items():
        if head.startswith(start):
            raise BadUpload(f"the file is {said}")
    return _sniff_text(head, symbol, timeframe)


def guess_mapping(columns: Sequence[str]) -> dict[str, str]:
    """Which column is which of ours, by name; none is used twice."""
    plain = {re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_"): column for column in reversed(columns)}
    found: dict[str, str] = {}
    for ours, known in NAMES.items():
        for wanted in known:
            if (column := plain.get(wanted.replace(" ", "_"))) and column not in found.values():
                found[ours] = column
                break
        else:
            near = [column for short, column in plain.items() if short.startswith(f"{ours}_")]
            if len(near) == 1 and near[0] not in found.values():
                found[ours] = near[0]
    return found


def _sniff_text(head: bytes, symbol: str, timeframe: str) -> Sniffed:
    text = _decoded(head)
    lines = [line for line in text.splitlines()[: SHOWN_ROWS + 2] if line.strip()]
    if not lines:
        raise BadUpload("the file has no lines")
    delimiter = max(DELIMITERS, key=lambda one: min(line.count(one) for line in lines[:3]))
    if not lines[0].count(delimiter):
        raise BadUpload("the file is not a table: its first line has no comma, semicolon or tab")
    try:
        cells = list(csv.reader(lines, delimiter=delimiter))
    except csv.Error as error:
        raise BadUpload(f"the file is not CSV: {error}") from error
    if len(cells[0]) > MOST_COLUMNS:
        raise BadUpload(f"the file has {len(cells[0]):,} columns; at most {MOST_COLUMNS} are read")
    header = not all(_is_value(cell) for cell in cells[0])
    columns = tuple(cell.strip().lstrip("\ufeff") for cell in cells[0]) if header else _numbered(len(cells[0]))
    if len(set(columns)) != len(columns) or "" in columns:
        columns = tuple(f"{name or 'column'} ({n})" if columns.count(name) > 1 or not name else name
                        for n, name in enumerate(columns, 1))  # fmt: skip
    rows = tuple(tuple(cell[:LONGEST_CELL] for cell in row) for row in cells[int(header) :][:SHOWN_ROWS])
    if not rows:
        raise BadUpload("the file has a first line and no rows")
    mapping = guess_mapping(columns) if header else dict(zip(COLUMNS, columns, strict=False))
    decimal = "," if delimiter != "," and _decimal_commas(rows) else "."
    return Sniffed("csv", columns, rows, mapping, symbol, timeframe, delimiter, decimal, header)


def _decoded(head: bytes) -> str:
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # a character that the end of the piece cuts is no mistake
            raise BadUpload(
                f"the file is not UTF-8 text (byte {error.start:,} is 0x{head[error.start]:02x}): save it as UTF-8"
            ) from error
        text = head[: error.start].decode("utf-8-sig")
    if "\x00" in text:
        raise BadUpload("the file is neither text nor Parquet: it has zero bytes")
    return text


def _is_value(cell: str) -> bool:
    return bool(_NUMBER.fullmatch(cell.strip()) or re.match(r"\d{4}[-/.]\d", cell.strip()))


def _decimal_commas(rows: Sequence[Sequence[str]]) -> bool:
    cells = [cell.strip() for row in rows for cell in row]
    return any(re.fullmatch(r"-?\d+,\d+", cell) for cell in cells) and not any(
        re.fullmatch(r"-?\d+\.\d+", cell) for cell in cells
    )


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"column {n}" for n in range(1, count + 1))


def _from_name(name: str) -> tuple[str, str]:
    """Symbol and timeframe, where the name of the file tells: KRW-BTC_1h.csv, BTCUSDT-1h-2024-01.csv."""
    stem = name.upper()
    timeframe = next((one for one in TIMEFRAMES if re.search(rf"(?<![0-9A-Z]){one.upper()}(?![0-9A-Z])", stem)), "")
    if (found := re.search(rf"(?<![A-Z0-9]){SYMBOL.pattern}(?=[_. ]|$)", stem)) and found[0].split("-")[0] in QUOTES:
        return found[0], timeframe
    for word in re.findall(r"[A-Z0-9]+", stem):
        for quote in QUOTES:
            if word.endswith(quote) and len(word) > len(quote) + 1:
                return f"{quote}-{word.removesuffix(quote)}", timeframe
    return "", timeframe
