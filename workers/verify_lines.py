"""Run again and verify, the lines of a person's own strategy: the same as they were? What is lost is put back."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import structlog
from sqlalchemy import Engine

from storage_core import result_store, strategy_lines
from storage_core.errors import ResultDamaged, ResultMissing, StorageError
from storage_core.models import Backtest
from storage_core.repair import DrawnAgain, put_lines_back
from storage_core.schemas import LINE_COLUMNS
from storage_core.settings import Settings
from workers.cells import described, first_differing_cell
from workers.compute import Outcome

log = structlog.get_logger("worker")


def compare_lines(
    engine: Engine, settings: Settings, original: Backtest, outcome: Outcome, changed: Mapping[str, Any]
) -> dict[str, Any]:
    """Of a run that is identical but for its lines, maybe: what the metadata of the verification says of them.

    `lines` is "identical", "different" (with `first_difference`), "restored" or "lost" (with `lines_reason`); nothing
    is said where the result was stored with no word about lines. Lines that are lost are put back, unless the code of
    the strategy has changed: then nobody knows whether these were its lines.
    """
    if "lines" not in original.metadata_:
        return {}
    if strategy_lines.lost(original.metadata_):
        return _put_back(engine, settings, original, outcome, changed)
    if (found := _other_facts(original.metadata_, outcome.metadata)) is not None:
        return _different(found)
    try:
        before = result_store.read_lines(settings, original)
    except (ResultDamaged, ResultMissing):
        return _put_back(engine, settings, original, outcome, changed)
    found = None if before is None else _first_difference(before, outcome)
    return {"lines": "identical"} if found is None else _different(found)


def _different(found: Mapping[str, Any]) -> dict[str, Any]:
    return {"outcome": "different", "lines": "different", "first_difference": dict(found)}


def _other_facts(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any] | None:
    """Other labels or panes, or lines where there were none, or none where there were some."""
    if strategy_lines.drawn(before) == strategy_lines.drawn(now):
        return None
    was, is_ = _words(before), _words(now)
    return {"what": "lines", "symbol": "", "index": None, "at": None, "column": "", "was": was, "now": is_}


def _words(metadata: Mapping[str, Any]) -> str | None:
    lines = [f"{one['label']} ({one['pane']}{', faint' * one['faint']})" for one in strategy_lines.drawn(metadata)]
    return ", ".join(lines) or strategy_lines.problem(metadata) or None


def _first_difference(before: pa.Table, outcome: Outcome) -> dict[str, Any] | None:
    now = outcome.tables.strategy_lines
    found = None if now is None else first_differing_cell(before, now)
    if now is None or found is None:
        return None
    row, column = found
    told = described(before, now, row, column)
    symbols = (before if row < before.num_rows else now)["symbol"].to_pylist()
    place = row - symbols.index(symbols[row])
    labels = dict(zip(before.column_names, _columns(strategy_lines.drawn(outcome.metadata)), strict=True))
    return {"what": "line", **told, "index": place, "column": labels[column]}


def _columns(drawn: Sequence[Mapping[str, Any]]) -> list[str]:
    return [*LINE_COLUMNS, *(str(line["label"]) for line in drawn)]


def _put_back(
    engine: Engine, settings: Settings, original: Backtest, outcome: Outcome, changed: Mapping[str, Any]
) -> dict[str, Any]:
    table, drawn = outcome.tables.strategy_lines, strategy_lines.drawn(outcome.metadata)
    if "strategy" in changed:
        return {"lines": "lost", "lines_reason": "the code of the strategy has changed"}
    if table is None:
        return {"lines": "lost", "lines_reason": strategy_lines.problem(outcome.metadata) or "it draws none any more"}
    try:
        put_lines_back(engine, settings, original.task_id, DrawnAgain(table, drawn))
    except StorageError as error:
        log.exception("the lines of a strategy could not be put back", original=str(original.task_id))
        return {"lines": "lost", "lines_reason": str(error)}
    return {"lines": "restored"}
