"""A legacy result as our three tables, and back.

`to_tables` gives the tables of `schemas` and a frame: the JSON text of everything that the tables do not hold (the
keys and their order, single spellings, what has no column). `to_document` puts the two together again; what comes out
equals what went in, value by value, type by type and key by key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from storage_core import legacy_codec
from storage_core.legacy_codec import Columns, Note
from storage_core.legacy_errors import BadLegacyFile
from storage_core.legacy_read import check_plain, wrong_type
from storage_core.legacy_shapes import ARRAYS, COMPACT, SHAPES, Shape, shape_of
from storage_core.result_store import ResultTables
from storage_core.schemas import SCHEMAS

_TABLE = {"signals": "symbol_signals", "performance_curve": "performance_curve"}
_NUMBERED = {"signals": "signal_index", "performance_curve": "idx"}


@dataclass(frozen=True, slots=True)
class Converted:
    """What a legacy result becomes. `symbols` in the order of the file, as stored; `spelled` as the file has them."""

    tables: ResultTables
    columns: Mapping[str, Columns]
    frame: str
    shape: str
    symbols: tuple[str, ...]
    spelled: tuple[str, ...]


def exactly(document: object) -> str:
    """JSON text that is equal only for documents equal in every value, type and key, in the same order."""
    return json.dumps(document, separators=(",", ":"))


def digest(document: object) -> str:
    """The sha256 of `exactly`: equal only for equal documents."""
    return hashlib.sha256(exactly(document).encode()).hexdigest()


def to_tables(document: Mapping[str, Any]) -> Converted:
    """Convert a parsed legacy result. Raises BadLegacyFile naming the field that is wrong."""
    entries = _entries(document)
    shape = shape_of(entries)
    bare = [{key: _without_rows(key, value) for key, value in entry.items()} for entry in entries]
    summary, note = legacy_codec.encode(bare, shape.summary, "symbols", sort_by="symbol")
    spelled = tuple(entry["symbol"] for entry in entries)
    symbols = tuple(legacy_codec.decode_column(summary.get("symbol", []), note))
    _no_twins(symbols)
    notes, parts = _encode_rows(entries, shape, symbols, spelled)
    columns = {array: _joined([parts[array][symbol] for symbol in sorted(symbols)]) for array in ARRAYS}
    if shape.name == COMPACT:
        _count_signals(summary, [parts["signals"][symbol] for symbol in sorted(symbols)])
    top = {key: None if key == "symbols" else value for key, value in document.items()}
    check_plain(top, "")
    frame = {"shape": shape.name, "top": top, "symbols": note, **notes}
    made = {"symbol_summary": _table("symbol_summary", summary)}
    made |= {_TABLE[array]: _table(_TABLE[array], columns[array]) for array in ARRAYS}
    columns["summary"] = summary
    return Converted(ResultTables(**made), columns, exactly(frame), shape.name, symbols, spelled)


def to_document(frame_text: str, tables: Mapping[str, pa.Table]) -> dict[str, Any]:
    """The legacy result again, from its frame and the stored tables by name."""
    frame = json.loads(frame_text)
    shape = SHAPES[frame["shape"]]
    summary = _columns(tables["symbol_summary"])
    document: dict[str, Any] = frame["top"]
    entries = legacy_codec.decode(summary, shape.summary, frame["symbols"])
    symbols = legacy_codec.decode_column(summary["symbol"], frame["symbols"])
    for array in ARRAYS:
        columns, start = _columns(tables[_TABLE[array]]), 0
        for index in sorted(range(len(symbols)), key=symbols.__getitem__):
            note = frame[array][index]
            if note is None:
                continue
            part = {name: values[start : start + note["rows"]] for name, values in columns.items()}
            start += note["rows"]
            fields = shape.rows(array, symbols[index], entries[index]["symbol"])
            entries[index][array] = legacy_codec.decode(part, fields, note)
    document["symbols"] = entries
    return document


def _entries(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "symbols" not in document:
        raise BadLegacyFile("missing", "symbols", "is missing")
    entries = document["symbols"]
    if not isinstance(entries, list):
        raise wrong_type("symbols", entries, "a list of objects")
    for index, entry in enumerate(entries):
        where = f"symbols[{index}]"
        if not isinstance(entry, dict):
            raise wrong_type(where, entry, "an object")
        if "signals" not in entry:
            raise BadLegacyFile("missing", f"{where}.signals", "is missing")
        for array in ARRAYS:
            if not isinstance(entry.get(array), list | None):
                raise wrong_type(f"{where}.{array}", entry[array], "a list, or null")
        if not isinstance(entry.get("is_active", True), bool | None):
            raise wrong_type(f"{where}.is_active", entry["is_active"], "true or false")
    return entries


def _without_rows(key: str, value: Any) -> Any:
    """The rows of an entry are encoded by themselves; an empty list, or null, stays as it is."""
    return None if key in ARRAYS and value else value


def _no_twins(symbols: Sequence[str]) -> None:
    for index, symbol in enumerate(symbols):
        if symbol in symbols[:index]:
            raise BadLegacyFile("contradiction", f"symbols[{index}].symbol", f"is {symbol}, which stands there twice")


def _encode_rows(
    entries: Sequence[Mapping[str, Any]], shape: Shape, symbols: Sequence[str], spelled: Sequence[str]
) -> tuple[dict[str, list[Note | None]], dict[str, dict[str, Columns]]]:
    notes: dict[str, list[Note | None]] = {array: [] for array in ARRAYS}
    parts: dict[str, dict[str, Columns]] = {array: {} for array in ARRAYS}
    for index, (entry, symbol) in enumerate(zip(entries, symbols, strict=True)):
        for array in ARRAYS:
            rows, fields = entry.get(array) or [], shape.rows(array, symbol, spelled[index])
            where = f"symbols[{index}].{array}"
            columns, note = legacy_codec.encode(rows, fields, where, sort_by="timestamp")
            notes[array].append(note if rows else None)
            parts[array][symbol] = _completed(array, columns, symbol, len(rows))
    return notes, parts


def _completed(array: str, columns: Columns, symbol: str, count: int) -> Columns:
    """With the symbol and the number of each row, and for a signal whether it is closed, where the file has none."""
    columns["symbol"] = [symbol] * count
    columns.setdefault(_NUMBERED[array], list(range(count)))
    if array == "signals" and "status" not in columns:
        prices = columns.get("exit_price", [None] * count)
        columns["status"] = ["open" if price is None else "closed" for price in prices]
    return columns


def _count_signals(summary: Columns, signals: Sequence[Columns]) -> None:
    """Counts and extremes that the compact shape does not have, but its signals tell."""
    returns = [[value for value in part.get("return_pct", []) if value is not None] for part in signals]
    summary["total_signals"] = [len(part["symbol"]) for part in signals]
    summary["winning_signals"] = [sum(value > 0 for value in values) for values in returns]
    summary["losing_signals"] = [sum(value < 0 for value in values) for values in returns]
    summary["max_return"] = [max(values, default=None) for values in returns]
    summary["min_return"] = [min(values, default=None) for values in returns]


def _joined(parts: Sequence[Columns]) -> Columns:
    """The rows of all symbols below one another; null where a symbol has no such column."""
    names = {name: None for part in parts for name in part}
    return {name: [v for part in parts for v in part.get(name) or [None] * len(part["symbol"])] for name in names}


def _table(name: str, columns: Columns) -> pa.Table:
    rows = len(columns.get("symbol", []))
    arrays = [pa.array(columns.get(field.name) or [None] * rows, field.type) for field in SCHEMAS[name]]
    return pa.table(arrays, schema=SCHEMAS[name])


def _columns(table: pa.Table) -> Columns:
    """The columns as plain values, times as microseconds."""
    plain = {}
    for name in table.column_names:
        column = table.column(name)
        is_time = pa.types.is_timestamp(column.type)
        plain[name] = (column.cast(pa.int64()) if is_time else column).to_pylist()
    return plain
