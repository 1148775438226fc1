"""The tables of a result, as they are given to every reader: schema version 1.0.

Percent where the name says so (`*_pct`, `win_rate`, `*_return`, `max_drawdown`, `drawdown`), money in quote currency,
times in UTC. `symbol_signals` has one row a trade, `performance_curve` one row a bar.
"""

from __future__ import annotations

import pyarrow as pa

SCHEMA_VERSION = "1.0"
KNOWN_VERSIONS = (SCHEMA_VERSION,)

_TIME = pa.timestamp("us", tz="UTC")

SYMBOL_SUMMARY = pa.schema(
    [
        ("symbol", pa.string()),
        ("win_rate", pa.float64()),
        ("avg_return", pa.float64()),
        ("max_return", pa.float64()),
        ("min_return", pa.float64()),
        ("max_drawdown", pa.float64()),
        ("avg_hold_bars", pa.float64()),
        ("total_signals", pa.int32()),
        ("winning_signals", pa.int32()),
        ("losing_signals", pa.int32()),
        ("total_pnl", pa.float64()),
        ("total_pnl_pct", pa.float64()),
    ]
)

SYMBOL_SIGNALS = pa.schema(
    [
        ("symbol", pa.string()),
        ("signal_index", pa.int32()),
        ("timestamp", _TIME),
        ("type", pa.string()),
        ("entry_price", pa.float64()),
        ("exit_price", pa.float64()),
        ("quantity", pa.float64()),
        ("return_pct", pa.float64()),
        ("hold_bars", pa.int32()),
        ("fee_amount", pa.float64()),
        ("slippage_amount", pa.float64()),
        ("status", pa.string()),
        ("exit_timestamp", _TIME),
        ("pnl", pa.float64()),
        ("exit_reason", pa.string()),
        ("mae_pct", pa.float64()),
        ("mfe_pct", pa.float64()),
    ]
)

PERFORMANCE_CURVE = pa.schema(
    [
        ("symbol", pa.string()),
        ("idx", pa.int32()),
        ("timestamp", _TIME),
        ("equity", pa.float64()),
        ("drawdown", pa.float64()),
        ("cumulative_pnl", pa.float64()),
        ("cumulative_pnl_pct", pa.float64()),
    ]
)

LINE_COLUMNS = ("symbol", "timestamp")
"""Of `strategy_lines`: one row a bar, and beside these `line_1`, `line_2`, ...: float64, null where there is none."""


def lines_schema(count: int) -> pa.Schema:
    """The schema of so many lines."""
    numbered = [(f"line_{number}", pa.float64()) for number in range(1, count + 1)]
    return pa.schema([("symbol", pa.string()), ("timestamp", _TIME), *numbered])


SCHEMAS: dict[str, pa.Schema] = {
    "symbol_summary": SYMBOL_SUMMARY,
    "symbol_signals": SYMBOL_SIGNALS,
    "performance_curve": PERFORMANCE_CURVE,
}
