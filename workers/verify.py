"""Run again and verify: does the same request give the same result, to the last bit? If not, where, and why."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Engine

from storage_core import backtests, result_store
from storage_core.backtests import Claim
from storage_core.db import session_scope
from storage_core.errors import StorageError
from storage_core.models import Backtest
from storage_core.settings import Settings
from workers.cells import described, first_differing_cell
from workers.compute import Outcome
from workers.verify_lines import compare_lines

TABLES = {"performance_curve": "bar", "symbol_signals": "trade", "symbol_summary": "summary"}
"""The tables in the order in which they are compared, and what a row of each is called."""
LIBRARIES = ("numpy", "numba", "pyarrow", "python")


def verified(engine: Engine, settings: Settings, claim: Claim, outcome: Outcome) -> dict[str, Any]:
    """What the metadata of the verifying backtest says: which original, "identical", "different" or "unreadable".

    When different: `first_difference` (which bar, trade or line, of which symbol, in which column, before and now) and
    `changed` (of code, engine, data and libraries, what is not as it was). `lines` tells of the strategy's own lines.
    """
    with session_scope(engine) as session:
        original_id = UUID(backtests.get(session, claim.task_id).metadata_["verification"]["of"])
        original = backtests.get(session, original_id)
    facts: dict[str, Any] = {"of": str(original_id), "changed": changed(original.metadata_, outcome.metadata)}
    try:
        found = first_difference(settings, original, outcome)
    except StorageError as error:
        return {**facts, "outcome": "unreadable", "reason": str(error)}
    if found is not None:
        return {**facts, "outcome": "different", "first_difference": found}
    return {**facts, "outcome": "identical"} | compare_lines(engine, settings, original, outcome, facts["changed"])


def first_difference(settings: Settings, original: Backtest, outcome: Outcome) -> dict[str, Any] | None:
    """The first row of the stored tables that is not, bit for bit, what `outcome` has; None when all are.

    Raises ResultMissing, ResultDamaged.
    """
    for name, word in TABLES.items():
        before = result_store.read_table(settings, original, name)
        now = outcome.tables.by_name()[name]
        found = first_differing_cell(before, now)
        if found is not None:
            return {"what": word, **described(before, now, *found)}
    return None


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
