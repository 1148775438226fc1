"""The two shapes of a legacy result: which key goes to which column, in which unit.

compact: a symbol has win_rate (fraction), avg_return and max_drawdown (percent), avg_hold_bars; a signal has
`return_pct` as a fraction and neither quantity, fees nor hold bars; the curve has one point a signal, its equity is a
factor that starts near 1. full: a symbol has `total_signals` and the other columns of `symbol_summary`, all of them in
the units of our tables. A file's shape is told by its keys, never by the size of its numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage_core.legacy_codec import Field
from storage_core.legacy_errors import BadLegacyFile
from storage_core.legacy_values import FLOAT, INTEGER, PERCENT, SYMBOL, TIME, Kind, symbol_of, texts

COMPACT, FULL = "compact", "full"
ARRAYS = ("signals", "performance_curve")
MARK_OF_FULL = "total_signals"

_SYMBOL = Field("symbol", "symbol", SYMBOL, required=True)
_FULL_SUMMARY = (
    *(("max_return", FLOAT), ("min_return", FLOAT), ("total_pnl", FLOAT), ("total_pnl_pct", FLOAT)),
    *((name, INTEGER) for name in ("total_signals", "winning_signals", "losing_signals")),
)
_SIGNAL = (
    Field("timestamp", "timestamp", TIME, required=True),
    Field("type", "type", texts("buy", "sell"), required=True),
    Field("entry_price", "entry_price", FLOAT, required=True),
    Field("exit_price", "exit_price", FLOAT),
    Field("quantity", "quantity", FLOAT),
    Field("hold_bars", "hold_bars", INTEGER),
    Field("fee_amount", "fee_amount", FLOAT),
    Field("slippage_amount", "slippage_amount", FLOAT),
    Field("status", "status", texts("closed", "open")),
    Field("signal_index", "signal_index", INTEGER),
    Field("exit_timestamp", "exit_timestamp", TIME),
    Field("pnl", "pnl", FLOAT),
    Field("exit_reason", "exit_reason", texts()),
)
_CURVE = (
    Field("timestamp", "timestamp", TIME, required=True),
    Field("equity", "equity", FLOAT, required=True),
    Field("drawdown", "drawdown", FLOAT),
    Field("cumulative_pnl", "cumulative_pnl", FLOAT),
    Field("cumulative_pnl_pct", "cumulative_pnl_pct", FLOAT),
    Field("idx", "idx", INTEGER),
)


@dataclass(frozen=True, slots=True)
class Shape:
    """How one shape names and measures what our tables hold."""

    name: str
    summary: Sequence[Field]
    signals: Sequence[Field]

    def rows(self, array: str, stored: str, spelled: str) -> list[Field]:
        """The fields of the signals or the curve of a symbol, stored as `stored` and `spelled` so in the file."""
        fields = self.signals if array == "signals" else _CURVE
        return [Field("symbol", "symbol", symbol_of(stored, spelled)), *fields]


def _shape(name: str, share: Kind, summary: Sequence[tuple[str, Kind]], paths: Sequence[str]) -> Shape:
    """`share`: the kind of what is a fraction in the compact shape and percent in the full one."""
    plain = [Field(key, key, FLOAT) for key in ("avg_return", "max_drawdown", "avg_hold_bars")]
    more = [Field(key, key, kind) for key, kind in summary]
    returns = [Field("return_pct", "return_pct", share), *(Field(key, key, FLOAT) for key in paths)]
    return Shape(name, (_SYMBOL, Field("win_rate", "win_rate", share), *plain, *more), (*_SIGNAL, *returns))


SHAPES = {
    COMPACT: _shape(COMPACT, PERCENT, (), ()),
    FULL: _shape(FULL, FLOAT, _FULL_SUMMARY, ("mae_pct", "mfe_pct")),
}


def shape_of(symbols: Sequence[Mapping[str, Any]]) -> Shape:
    """The shape of a file by the keys of its symbols; raises BadLegacyFile when they are of both."""
    full = [MARK_OF_FULL in entry for entry in symbols]
    if any(full) and not all(full):
        index = full.index(not full[0])
        raise BadLegacyFile("contradiction", f"symbols[{index}]", "is of another shape than symbols[0]")
    return SHAPES[FULL if any(full) else COMPACT]
