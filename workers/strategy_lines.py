"""The lines of a person's own strategy over the bars of a run, as the table that is stored beside its result."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import structlog

from engine.bars import Bars
from engine.catalog import StrategySpec
from engine.drawn_lines import check_drawn, draw_lines
from engine.errors import LinesError
from engine.lines import DrawnLine
from engine.spec import BacktestSpec
from storage_core.schemas import lines_schema

log = structlog.get_logger("worker")

LONGEST_PROBLEM = 500


def draw(
    strategy: StrategySpec, bars: Mapping[str, Bars], spec: BacktestSpec
) -> tuple[pa.Table | None, dict[str, Any]]:
    """The table (None without lines) and what the metadata says: the lines `drawn`, or the `problem` with them.

    Lines are a picture, no figure: whatever is wrong with them, the result is as good without them.
    """
    try:
        found = {symbol: _of_symbol(strategy, bars[symbol], spec) for symbol in sorted(bars)}
        first = next(iter(found.values()))
        for symbol, lines in found.items():
            if _facts(lines) != _facts(first):
                problem = f"the lines of {symbol} are others than those of {next(iter(found))}"
                raise LinesError(f"{problem}; allowed: the same labels and panes for every symbol")
    except LinesError as error:
        problem = _storable(str(error))
        log.warning("the lines of the strategy are not drawn", strategy=strategy.name, problem=problem)
        return None, {"drawn": [], "problem": problem}
    table = pa.concat_tables([_table(symbol, bars[symbol], lines) for symbol, lines in found.items()])
    return table if first else None, {"drawn": _facts(first), "problem": ""}


def _of_symbol(strategy: StrategySpec, bars: Bars, spec: BacktestSpec) -> tuple[DrawnLine, ...]:
    lines = draw_lines(strategy, bars, spec.params)
    check_drawn(strategy, bars, spec.params, lines)
    return lines


def _storable(text: str) -> str:
    """What a person's code said, as every database takes it: one line of printable characters, not too long."""
    return "".join(character if character.isprintable() else " " for character in text)[:LONGEST_PROBLEM]


def _facts(lines: tuple[DrawnLine, ...]) -> list[dict[str, Any]]:
    return [{"label": line.label, "pane": line.pane, "faint": line.faint} for line in lines]


def _table(symbol: str, bars: Bars, lines: tuple[DrawnLine, ...]) -> pa.Table:
    schema = lines_schema(len(lines))
    symbols = pa.DictionaryArray.from_arrays(np.zeros(len(bars), dtype=np.int32), pa.array([symbol]))
    columns = [
        symbols.cast(pa.string()),
        pa.array(bars.timestamp).cast(schema.field("timestamp").type),
        *(pa.array(line.values, mask=np.isnan(line.values)) for line in lines),
    ]
    return pa.table(columns, schema=schema)
