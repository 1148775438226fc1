"""From the engine's arrays to the stored contract. Fractions become percent here and in `stored_metrics`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.metric_table import percent
from engine.metrics import summarise_symbol
from engine.simulation import EXIT_REASONS, Simulation
from storage_core.result_store import ResultTables
from storage_core.schemas import PERFORMANCE_CURVE, SYMBOL_SIGNALS, SYMBOL_SUMMARY

SPARKLINE_POINTS = 40


def make_tables(simulations: Mapping[str, Simulation]) -> ResultTables:
    """The three tables of a result, symbols in alphabetical order."""
    symbols = sorted(simulations)
    signals = [_signals(symbol, simulations[symbol]) for symbol in symbols]
    curves = [_curve(symbol, simulations[symbol]) for symbol in symbols]
    rows = [{"symbol": symbol, **_summary(simulations[symbol])} for symbol in symbols]
    summary = {name: [row[name] for row in rows] for name in SYMBOL_SUMMARY.names}
    return ResultTables(
        symbol_summary=pa.table(summary, schema=SYMBOL_SUMMARY),
        symbol_signals=pa.concat_tables(signals),
        performance_curve=pa.concat_tables(curves),
    )


def ambiguity(simulations: Mapping[str, Simulation]) -> dict[str, float | int]:
    """Bars in which both stop and target lay; the total return with the target, and the stop, taken."""
    cash = sum(simulation.initial_cash for simulation in simulations.values())
    best = sum(simulation.initial_cash * simulation.best_return for simulation in simulations.values())
    worst = sum(simulation.initial_cash * simulation.worst_return for simulation in simulations.values())
    return {
        "bars": sum(simulation.ambiguous_bars for simulation in simulations.values()),
        "best_return_pct": percent(best / cash),
        "worst_return_pct": percent(worst / cash),
    }


def sparkline(equity: NDArray[np.float64]) -> list[float]:
    """At most 40 points of the equity curve, the first and the last among them, to six significant digits."""
    picks = np.unique(np.linspace(0, len(equity) - 1, min(SPARKLINE_POINTS, len(equity))).round().astype(np.int64))
    return [float(f"{value:.6g}") for value in equity[picks]]


def _summary(simulation: Simulation) -> dict[str, float | int | None]:
    """The row of one symbol; the columns whose stored unit is percent are converted here."""
    row = summarise_symbol(simulation)
    fractions = ("win_rate", "avg_return", "max_return", "min_return", "max_drawdown", "total_pnl_pct")
    return {name: percent(value) if name in fractions and value is not None else value for name, value in row.items()}


def _signals(symbol: str, simulation: Simulation) -> pa.Table:
    bars, trades = simulation.bars, simulation.trades
    count = len(trades)
    closed = trades.closed
    exit_time = bars.timestamp[np.where(closed, trades.exit_bar, 0)]
    columns: dict[str, Any] = {
        "symbol": _repeat(symbol, count),
        "signal_index": pa.array(np.arange(count, dtype=np.int32)),
        "timestamp": _times(bars.timestamp[trades.entry_bar]),
        "type": _choose(np.where(trades.side > 0, 0, 1), ("buy", "sell")),
        "entry_price": trades.entry_price,
        "exit_price": pa.array(trades.exit_price, mask=~closed),
        "quantity": trades.quantity,
        "return_pct": trades.return_ * 100.0,
        "hold_bars": trades.hold_bars.astype(np.int32),
        "fee_amount": trades.fee,
        "slippage_amount": trades.slippage,
        "status": _choose(np.where(closed, 0, 1), ("closed", "open")),
        "exit_timestamp": _times(exit_time, missing=~closed),
        "pnl": trades.pnl,
        "exit_reason": _choose(trades.exit_reason, EXIT_REASONS),
        "mae_pct": trades.mae * 100.0,
        "mfe_pct": trades.mfe * 100.0,
    }
    return pa.table(columns, schema=SYMBOL_SIGNALS)


def _curve(symbol: str, simulation: Simulation) -> pa.Table:
    bars = simulation.bars
    pnl = simulation.equity - simulation.initial_cash
    columns: dict[str, Any] = {
        "symbol": _repeat(symbol, len(bars)),
        "idx": pa.array(np.arange(len(bars), dtype=np.int32)),
        "timestamp": _times(bars.timestamp),
        "equity": simulation.equity,
        "drawdown": simulation.drawdown * 100.0,
        "cumulative_pnl": pnl,
        "cumulative_pnl_pct": pnl / simulation.initial_cash * 100.0,
    }
    return pa.table(columns, schema=PERFORMANCE_CURVE)


def _repeat(text: str, count: int) -> pa.Array:
    return _choose(np.zeros(count, dtype=np.int32), (text,))


def _choose(codes: NDArray[Any], names: tuple[str, ...]) -> pa.Array:
    indices = pa.array(codes.astype(np.int32))
    return pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.string())).cast(pa.string())


def _times(microseconds: NDArray[np.int64], missing: NDArray[np.bool_] | None = None) -> pa.Array:
    return pa.array(microseconds, pa.int64(), mask=missing).cast(pa.timestamp("us", tz="UTC"))
