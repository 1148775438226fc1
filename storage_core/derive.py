"""Leaving columns out of a file when a formula gives them back bit for bit, and giving them back.

The writer computes each formula and compares every bit. Where all rows agree the column is left out; where a few
differ (an open trade is valued at a price that is not in the table) those rows are noted beside it; where many differ
(another system's arithmetic) the column is stored. So a reader gets the very bits that were given, always.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage_core.formulas import FORMULA_VERSION, FORMULAS, Arrays, Formula
from storage_core.schemas import SCHEMAS

DECIMALS = (2.0, 8.0, 5.0, 0.0)
"""How many decimals prices may have, in the order tried."""
FEW_ROWS, FEW_SHARE = 8, 1 / 200

Notes = dict[str, dict[str, Any]]
"""Of each column left out: version, formula (in words), constants, and the rows that differ as [row, bits or null]."""


def leave_out(name: str, table: pa.Table, constants: Mapping[str, float]) -> tuple[pa.Table, Notes]:
    """The table without the columns that its formulas give back, and the notes that `give_back` needs.

    Texts come as dictionaries: the formulas and the file both want them so, and making them is slow.
    """
    notes: Notes = {}
    table = pa.table([encoded(column) for column in table.columns], names=table.column_names)
    inputs = {need for formula in FORMULAS[name].values() for need in formula.needs}
    arrays = as_arrays(table.select([column for column in table.column_names if column in inputs]))
    for column, formula in FORMULAS[name].items():
        for values in _choices(formula, constants):
            odd = _odd_rows(table[column], formula, arrays, values)
            if odd is not None:
                notes[column] = {
                    "version": FORMULA_VERSION, "formula": formula.text, "constants": values, "odd_rows": odd,
                }  # fmt: skip
                break
    return table.drop_columns(list(notes)), notes


def stored_columns(name: str, wanted: Sequence[str], notes: Notes) -> list[str]:
    """The columns to read from the file so that `give_back` can give all of `wanted`."""
    return [column for column in _needed(name, wanted, notes) if column not in notes]


def give_back(name: str, table: pa.Table, schema: pa.Schema, notes: Notes) -> pa.Table:
    """The columns of `schema`; those left out are computed from `table`, which holds their `stored_columns`.

    The texts of `table` may be dictionaries; those that are given back are plain.

    Raises KeyError when a note names a formula or a version of one that is not known.
    """
    arrays, made = as_arrays(table), {}
    needed = _needed(name, schema.names, notes)
    for column, formula in FORMULAS[name].items():  # each comes after those it needs
        if column in needed and column in notes:
            note = notes[column]
            if note["version"] != FORMULA_VERSION:
                raise KeyError(f"version {note['version']} of the formula for {column}")
            values = compute(formula, arrays, note["constants"])
            made[column] = _column(values, note["odd_rows"], SCHEMAS[name].field(column).type)
            arrays |= as_arrays(pa.table({column: made[column]}))
    columns = [made[one.name] if one.name in made else _given(table[one.name], one.type) for one in schema]
    return pa.table(columns, schema=schema)


def constants_of(spec: Mapping[str, Any], bar_seconds: int) -> dict[str, float]:
    """What the formulas need to know of a backtest, from its spec as it is stored."""
    costs = spec.get("costs") or {}
    given = {
        "initial_cash": spec.get("initial_cash"),
        "fee_rate": costs.get("fee_rate"),
        "slippage_rate": costs.get("slippage_rate"),
        "bar_microseconds": bar_seconds * 1_000_000,
        "all_in": 1 if (spec.get("sizing") or {}).get("kind") == "all_in" else None,
    }
    return {name: float(value) for name, value in given.items() if value is not None}


def _needed(name: str, wanted: Sequence[str], notes: Notes) -> list[str]:
    """`wanted` and all that it follows from, each once."""
    found: dict[str, None] = {}
    for column in wanted:
        if column in notes:
            found |= dict.fromkeys(_needed(name, FORMULAS[name][column].needs, notes))
        found[column] = None
    return list(found)


def _choices(formula: Formula, constants: Mapping[str, float]) -> Iterator[dict[str, float]]:
    """The constants to try a formula with: as given, and each number of decimals when it asks for one."""
    known = {name: constants[name] for name in formula.constants if name in constants}
    if "decimals" in formula.constants and len(known) == len(formula.constants) - 1:
        yield from ({**known, "decimals": decimals} for decimals in DECIMALS)
    elif len(known) == len(formula.constants):
        yield known


def _odd_rows(
    given: pa.ChunkedArray, formula: Formula, arrays: Arrays, constants: Mapping[str, float]
) -> list[list[int | None]] | None:
    """The rows in which the formula does not give the very bits of the column; None when they are more than a few."""
    if not len(given) or any(need not in arrays for need in formula.needs):
        return None
    odd: list[list[int | None]] = []
    with np.errstate(all="ignore"):  # any bits may come: NaN, infinities, numbers that overflow
        for piece, values in formula.pieces(arrays, constants):
            bits, missing = _bits(given.slice(piece.start, piece.stop - piece.start))
            rows = np.flatnonzero((bits != _as_bits(values)) | missing)
            if len(odd) + len(rows) > max(FEW_ROWS, int(len(given) * FEW_SHARE)):
                return None
            odd += [[piece.start + int(row), None if missing[row] else int(bits[row])] for row in rows]
    return odd


def _column(values: NDArray[Any], odd_rows: list[list[int | None]], kind: pa.DataType) -> pa.Array:
    if not odd_rows:
        return pa.array(values).cast(kind)  # large results are read in little memory
    bits = _as_bits(values).copy()
    missing = np.zeros(len(bits), dtype=bool)
    for row, value in odd_rows:
        bits[row] = 0 if value is None else value
        missing[row] = value is None
    whole = bits.view(np.float64) if pa.types.is_floating(kind) else bits
    return pa.array(whole, mask=missing).cast(kind)


def compute(formula: Formula, arrays: Arrays, constants: Mapping[str, float]) -> NDArray[Any]:
    """The column that a formula gives, whatever bits come in."""
    whole: NDArray[Any] | None = None
    with np.errstate(all="ignore"):
        for piece, values in formula.pieces(arrays, constants):
            if not formula.row_by_row:
                return values
            whole = np.empty(len(arrays[formula.needs[0]]), values.dtype) if whole is None else whole
            whole[piece] = values
    assert whole is not None  # noqa: S101  there is always a piece
    return whole


def _bits(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The values as bits, and which of them are missing."""
    values = column.fill_null(0) if column.null_count else column
    whole = values if pa.types.is_floating(column.type) else values.cast(pa.int64())
    return _as_bits(np.ascontiguousarray(whole.to_numpy())), column.is_null().to_numpy()


def _as_bits(values: NDArray[Any]) -> NDArray[np.int64]:
    return values.view(np.int64) if values.dtype == np.float64 else values.astype(np.int64, copy=False)


def as_arrays(table: pa.Table) -> dict[str, NDArray[Any]]:
    """The columns that formulas can use; a whole number that is missing in some row makes its column unusable."""
    found = {}
    for name in table.column_names:
        column = table[name]
        if name == "symbol":
            found[name] = encoded(column).indices.to_numpy()
        elif name == "type":
            found[name] = _sides(encoded(column))
        elif pa.types.is_floating(column.type):
            found[name] = column.to_numpy()
        elif pa.types.is_timestamp(column.type) and not column.null_count:
            found[name] = column.cast(pa.int64()).to_numpy()
        elif pa.types.is_integer(column.type) and not column.null_count:
            found[name] = column.to_numpy()
    return found


def encoded(column: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """A column of texts as one dictionary array; any other column as it is."""
    if not _is_text(column.type):
        return column
    whole = column.combine_chunks()
    return whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()


def _given(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return column.cast(kind) if pa.types.is_dictionary(column.type) else column


def _sides(texts: pa.DictionaryArray) -> NDArray[np.float64]:
    """+1 for buy, -1 for all else."""
    of_code = np.array([1.0 if text == "buy" else -1.0 for text in texts.dictionary.to_pylist()] + [-1.0])
    found: NDArray[np.float64] = of_code[texts.indices.fill_null(len(of_code) - 1).to_numpy()]
    return found


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_dictionary(kind))
