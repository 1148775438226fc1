"""Save and read one large result in a process of its own, and print how much memory that took.

    python -m tests.storage_core.large MODE COMPRESSION SIGNALS BARS

Memory is the highest resident size during the step above that before it, as Linux counts it.
"""

import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from storage_core import backtests, result_store
from storage_core.backtests import Claim
from storage_core.db import make_engine, session_scope
from storage_core.migrate import upgrade
from storage_core.result_store import ResultTables
from storage_core.schemas import SCHEMAS
from storage_core.settings import Settings
from tests.storage_core.examples import row, same_bits, spec

CASH, FEE, MINUTE, START = 10_000.0, 0.0005, 60_000_000, 1_600_000_000_000_000
SPEC = spec(timeframe="1m", initial_cash=CASH, costs={"fee_rate": FEE, "slippage_rate": 0.0}, sizing={"kind": "all_in"})


def a_large_result(signals: int, bars: int) -> ResultTables:
    """One symbol; prices and equity at random, the columns that follow from others as the engine computes them."""
    random = np.random.default_rng(1)
    made = {"symbol_signals": _signals(signals, random), "performance_curve": _curve(bars, random)}
    one = [pa.array([_one(field)], field.type) for field in SCHEMAS["symbol_summary"]]
    return ResultTables(symbol_summary=pa.table(one, schema=SCHEMAS["symbol_summary"]), **made)


def _one(field: pa.Field) -> object:
    return "KRW-BTC" if field.name == "symbol" else 1


def _signals(count: int, random: np.random.Generator) -> pa.Table:
    entered, held = START + 60 * MINUTE * np.arange(count), random.integers(1, 50, count).astype(np.int32)
    entry, out = (np.round(random.uniform(low, 110, count), 2) for low in (90, 91))
    quantity = CASH / (entry * (1.0 + FEE))
    fees = FEE * quantity * entry + FEE * quantity * out
    pnl = (out - entry) * quantity - fees
    columns = {
        "signal_index": np.arange(count, dtype=np.int32),
        "timestamp": _times(entered),
        "entry_price": entry,
        "exit_price": out,
        "quantity": quantity,
        "return_pct": pnl / (quantity * entry) * 100.0,
        "hold_bars": held,
        "fee_amount": fees,
        "slippage_amount": np.zeros(count),
        "exit_timestamp": _times(entered + held.astype(np.int64) * MINUTE),
        "pnl": pnl,
        "mae_pct": random.normal(size=count),
        "mfe_pct": random.normal(size=count),
    }
    texts = {"symbol": "KRW-BTC", "type": "buy", "status": "closed", "exit_reason": "signal"}
    columns |= {name: pa.repeat(pa.scalar(text), count) for name, text in texts.items()}
    return pa.table(columns).select(SCHEMAS["symbol_signals"].names).cast(SCHEMAS["symbol_signals"])


def _curve(count: int, random: np.random.Generator) -> pa.Table:
    equity = CASH + np.cumsum(random.normal(size=count))
    columns = {
        "symbol": pa.repeat(pa.scalar("KRW-BTC"), count),
        "idx": np.arange(count, dtype=np.int32),
        "timestamp": _times(START + MINUTE * np.arange(count)),
        "equity": equity,
        "drawdown": (1.0 - equity / np.maximum(np.maximum.accumulate(equity), CASH)) * 100.0,
        "cumulative_pnl": equity - CASH,
        "cumulative_pnl_pct": (equity - CASH) / CASH * 100.0,
    }
    return pa.table(columns, schema=SCHEMAS["performance_curve"])


def _times(micros: np.ndarray) -> pa.Array:
    return pa.array(micros, pa.int64()).cast(pa.timestamp("us", tz="UTC"))


def measured(work: Callable[[], Any]) -> tuple[Any, int, float]:
    """What `work` gives, the memory that it took at its highest, in bytes, and its seconds."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest so far
    before, started = _resident("VmRSS"), time.perf_counter()
    given = work()
    return given, _resident("VmHWM") - before, time.perf_counter() - started


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def main(mode: str, compression: str, signals: int, bars: int) -> dict[str, Any]:
    """Save, read, compare; the figures."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.from_env(
            {"DATA_DIR": folder, "RESULT_STORAGE_MODE": mode, "PARQUET_COMPRESSION": compression}
        )
        upgrade(settings.database_url)
        engine = make_engine(settings.database_url)

        def claim() -> Claim:
            with session_scope(engine) as session:
                task_id = backtests.create(session, spec=SPEC, owner_id=None, source="command").task_id
                found = backtests.claim(session, task_id, worker="test")
            assert found is not None
            return found

        def save(tables: ResultTables) -> backtests.Backtest:
            held = claim()
            result_store.save(engine, settings, held, tables, metrics={}, metadata={})
            return row(engine, held.task_id)

        small = save(a_large_result(10, 10))
        for name in SCHEMAS:  # what is imported by the first use is not what is measured
            result_store.read_table(settings, small, name)
        tables = a_large_result(signals, bars)
        sizes = {name: table.nbytes for name, table in tables.by_name().items()}
        stored, took, seconds = measured(lambda: save(tables))
        saved = {"tables": sum(sizes.values()), "stored": stored.file_size, "save": took, "save_seconds": seconds}
        figures: dict[str, Any] = {**saved, "read": {}}
        for name, table in tables.by_name().items():
            read, took, seconds = measured(lambda name=name: result_store.read_table(settings, stored, name))
            assert same_bits(read.combine_chunks(), table.combine_chunks()), name
            figures["read"][name] = {"table": sizes[name], "memory": took, "seconds": seconds}
        engine.dispose()
    return figures


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))  # noqa: T201
