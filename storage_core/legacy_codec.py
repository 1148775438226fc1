"""A list of JSON objects as columns, and back, exactly: values, their types, which keys, and the keys' order.

What columns cannot give back stands in the note: `orders` (the lists of keys that occur, and with `order` which row
has which), `styles` (how a column was spelled), `kept` (single values that would come back differently), `extra`
(keys without a column), `sorted` (which row of the file each stored row was, when the file was not in order).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import is_
from typing import Any

from storage_core.legacy_errors import BadLegacyFile
from storage_core.legacy_read import check_plain, wrong_type
from storage_core.legacy_values import Kind

Columns = dict[str, list[Any]]
Note = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """A key of the legacy objects, the column it is stored in, and whether each object must have a value."""

    key: str
    column: str
    kind: Kind
    required: bool = False


def encode(rows: Sequence[Any], fields: Sequence[Field], where: str, *, sort_by: str) -> tuple[Columns, Note]:
    """Columns by name, in the order of the column `sort_by`, and the note that `decode` needs besides them.

    Columns of keys that no object has are left out. Raises BadLegacyFile naming the field.
    """
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise wrong_type(f"{where}[{index}]", row, "an object")
    note: Note = {"rows": len(rows), **_orders(rows)}
    present = {key: None for order in note["orders"] for key in order}
    columns: Columns = {}
    given = _transposed(rows, note["orders"])
    for field in fields:
        if field.key in present or (field.required and rows):
            values = given[field.key] if field.key in given else [row.get(field.key) for row in rows]
            columns[field.column] = _encode_field(rows, values, field, where, note)
    mapped = {field.key for field in fields}
    for key in present:
        if key not in mapped:
            note.setdefault("extra", {})[key] = _extra(rows, key, where)
    return _sorted(columns, note, sort_by), note


def decode(columns: Mapping[str, Sequence[Any]], fields: Sequence[Field], note: Note) -> list[dict[str, Any]]:
    """The objects that `encode` was given."""
    count, orders = note["rows"], note["orders"]
    values: dict[str, list[Any]] = {key: list(kept) for key, kept in note.get("extra", {}).items()}
    present = {key for order in orders for key in order}
    for field in fields:
        if field.key in present:
            stored = _unsorted(columns[field.column], note)
            values[field.key] = field.kind.restore(stored, note.get("styles", {}).get(field.key, ""))
    for key, changes in note.get("kept", {}).items():
        for index, value in changes.items():
            values[key][int(index)] = value
    if len(orders) <= 1:
        keys = orders[0] if orders else []
        return [dict(zip(keys, row, strict=True)) for row in zip(*(values[key] for key in keys), strict=True)] or [
            {} for _ in range(count)
        ]
    return [{key: values[key][index] for key in orders[order]} for index, order in enumerate(note["order"])]


def decode_column(stored: Sequence[Any], note: Note) -> list[Any]:
    """A column in the order of the file, as it is stored."""
    return list(_unsorted(stored, note))


def _transposed(rows: Sequence[Mapping[str, Any]], orders: Sequence[Sequence[str]]) -> Columns:
    """The values by key when all rows have the same keys in the same order, as nearly always; else nothing."""
    if len(orders) != 1:
        return {}
    values = zip(*(row.values() for row in rows), strict=True)
    return dict(zip(orders[0], map(list, values), strict=True))


def _orders(rows: Sequence[Mapping[str, Any]]) -> Note:
    if len(alike := set(map(tuple, rows))) == 1:
        return {"orders": [list(keys) for keys in alike]}
    numbers: dict[tuple[str, ...], int] = {}
    order = [numbers.setdefault(tuple(row), len(numbers)) for row in rows]
    orders = [list(keys) for keys in numbers]
    return {"orders": orders} if len(orders) <= 1 else {"orders": orders, "order": order}


def _encode_field(
    rows: Sequence[Mapping[str, Any]], values: list[Any], field: Field, where: str, note: Note
) -> list[Any]:
    def at(index: int) -> str:
        return f"{where}[{index}].{field.key}"

    if field.required and None in values:
        index = values.index(None)
        missing = "is null" if field.key in rows[index] else "is missing"
        raise BadLegacyFile("missing", at(index), missing)
    stored, style = field.kind.store(values, at)
    restored = field.kind.restore(stored, style)
    if style:
        note.setdefault("styles", {})[field.key] = style
    if all(map(is_, values, restored)) or (values == restored and [*map(type, values)] == [*map(type, restored)]):
        return stored
    pairs = enumerate(zip(values, restored, strict=True))
    kept = {str(i): was for i, (was, now) in pairs if was is not now and (type(was) is not type(now) or was != now)}
    if kept:
        note.setdefault("kept", {})[field.key] = kept
    return stored


def _extra(rows: Sequence[Mapping[str, Any]], key: str, where: str) -> list[Any]:
    values = [row.get(key) for row in rows]
    for index, value in enumerate(values):
        check_plain(value, f"{where}[{index}].{key}")
    return values


def _sorted(columns: Columns, note: Note, sort_by: str) -> Columns:
    keys = columns.get(sort_by, [])
    if all(a <= b for a, b in pairwise(keys)):
        return columns
    order = sorted(range(len(keys)), key=keys.__getitem__)
    note["sorted"] = order
    return {name: [values[index] for index in order] for name, values in columns.items()}


def _unsorted(stored: Sequence[Any], note: Note) -> Sequence[Any]:
    if "sorted" not in note:
        return stored
    values: list[Any] = [None] * len(stored)
    for index, was in enumerate(note["sorted"]):
        values[was] = stored[index]
    return values
