"""Run again and verify: does the same request give the same result, to the last bit? If not, where, and why."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
from sqlalchemy import Engine

from storage_core import backtests, result_store
from storage_core.backtests import Claim
from storage_core.db import session_scope
from storage_core.errors import StorageError
from storage_core.models import Backtest
from storage_core.settings import Settings
from workers.compute import Outcome

TABLES = {"performance_curve": "bar", "symbol_signals": "trade", "symbol_summary": "summary"}
"""The tables in the order in which they are compared, and what a row of each is called."""
LIBRARIES = ("numpy", "numba", "pyarrow", "python")


def verified(engine: Engine, settings: Settings, claim: Claim, outcome: Outcome) -> dict[str, Any]:
    """What the metadata of the verifying backtest says: which original, "identical", "different" or "unreadable".

    When different: `first_difference` (which bar or trade, of which symbol, in which column, before and now) and
    `changed` (of code, engine, data and libraries, what is not as it was).
    """
    with session_scope(engine) as session:
        original_id = UUID(backtests.get(session, claim.task_id).metadata_["verification"]["of"])
        original = backtests.get(session, original_id)
    facts: dict[str, Any] = {"of": str(original_id), "changed": changed(original.metadata_, outcome.metadata)}
    try:
        found = first_difference(settings, original, outcome)
    except StorageError as error:
        return {**facts, "outcome": "unreadable", "reason": str(error)}
    if found is None:
        return {**facts, "outcome": "identical"}
    return {**facts, "outcome": "different", "first_difference": found}


def first_difference(settings: Settings, original: Backtest, outcome: Outcome) -> dict[str, Any] | None:
    """The first row of the stored tables that is not, bit for bit, what `outcome` has; None when all are.

    Raises ResultMissing, ResultDamaged.
    """
    for name, word in TABLES.items():
        before = result_store.read_table(settings, original, name)
        now = outcome.tables.by_name()[name]
        found = first_differing_cell(before, now)
        if found is not None:
            return {"what": word, **_described(before, now, *found)}
    return None


def first_differing_cell(before: pa.Table, now: pa.Table) -> tuple[int, str] | None:
    """Row and column of the first value that differs in any bit; a missing row differs in its first column."""
    common = min(before.num_rows, now.num_rows)
    names = before.schema.names
    rows = {name: _first(before[name].slice(0, common), now[name].slice(0, common)) for name in names}
    found = [(row, names.index(name)) for name, row in rows.items() if row is not None]
    if found:
        row, column = min(found)
        return row, names[column]
    return None if before.num_rows == now.num_rows else (common, names[0])


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """What is not as it was: strategy, engine, data (by symbol), libraries, each as [before, now]."""
    code_before, code_now = before.get("code") or {}, now.get("code") or {}
    found: dict[str, Any] = {
        part: [code_before.get(part), code_now[part]]
        for part in ("strategy", "engine")
        if code_before.get(part) != code_now[part]
    }
    data_before, data_now = before.get("data") or {}, now.get("data") or {}
    data = {
        symbol: [_print(data_before, symbol), _print(data_now, symbol)]
        for symbol in sorted({*data_before, *data_now})
        if _print(data_before, symbol) != _print(data_now, symbol)
    }
    versions_before, versions_now = before.get("versions") or {}, now.get("versions") or {}
    libraries = {
        name: [versions_before.get(name), versions_now.get(name)]
        for name in LIBRARIES
        if versions_before.get(name) != versions_now.get(name)
    }
    return found | ({"data": data} if data else {}) | ({"libraries": libraries} if libraries else {})


def _print(data: Mapping[str, Any], symbol: str) -> str | None:
    sha256: str | None = (data.get(symbol) or {}).get("sha256")
    return sha256


def _first(before: pa.ChunkedArray, now: pa.ChunkedArray) -> int | None:
    if before.equals(now) and not pa.types.is_floating(before.type):
        return None
    missing = [column.is_null().to_numpy() for column in (before, now)]
    differs = missing[0] != missing[1]
    if pa.types.is_floating(before.type):  # NaN is itself, and -0.0 is not 0.0
        bits = [column.fill_null(0.0).to_numpy().view(np.int64) for column in (before, now)]
        differs = differs | (bits[0] != bits[1])
    else:
        values = [column.to_numpy(zero_copy_only=False) for column in (before, now)]
        differs = differs | ((values[0] != values[1]) & ~missing[0])
    rows = np.flatnonzero(differs)
    return int(rows[0]) if len(rows) else None


def _described(before: pa.Table, now: pa.Table, row: int, column: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [next(iter(table.slice(row, 1).to_pylist()), {}) for table in (before, now)]
    was, is_ = rows
    known = was or is_
    return {
        "symbol": known["symbol"],
        "index": known.get("idx", known.get("signal_index")),
        "at": _plain(known.get("timestamp")),
        "column": column,
        "was": _plain(was.get(column)),
        "now": _plain(is_.get(column)),
    }


def _plain(value: Any) -> Any:
    """JSON's own values as they are; floats, as NaN is none of JSON's, and anything else as text."""
    return value if value is None or isinstance(value, int | str) else str(value)
