"""Results of the real engine on real bars: bytes beside JSON of the same rows, saving and reading, bit for bit.

The JSON holds the very same columns, an object a row, as the legacy system wrote its results (indent 2); it is also
taken compact and packed by gzip. Reading gives back every column in every bit, or the benchmark fails.
"""

import argparse
import gzip
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.engine import REAL_MINUTES, SAMPLE, load_bars
from benchmarks.report import Report, timed
from engine.bars import Bars
from engine.catalog import get_strategy
from engine.simulation import simulate
from engine.spec import BacktestSpec, parse_spec, spec_to_dict
from storage_core import backtests, result_store
from storage_core.db import make_engine, session_scope
from storage_core.migrate import upgrade
from storage_core.result_store import TABLES, ResultTables
from storage_core.settings import Settings
from workers.result_tables import make_tables

CASES = (("volume_zone_breakout", 20_000, 1), ("rsi_reversion", 100_000, 1), ("sma_cross", 20_000, 50))
GOAL = {20_000: "goal 96", 100_000: "goal 98"}


def spec_of(strategy: str, symbols: int) -> BacktestSpec:
    """The strategy with its defaults on that many symbols of minutes."""
    return parse_spec(
        {
            "strategy": strategy,
            "params": {param.name: param.default for param in get_strategy(strategy).params},
            "symbols": [f"KRW-S{number}" for number in range(symbols)],
            "timeframe": "1m",
            "start_date": "2024-01-01",
            "end_date": "2025-12-31",
        }
    )


def result_of(spec: BacktestSpec, bars: Bars) -> ResultTables:
    """What a worker would store: each symbol by itself, on the same bars."""
    one = {symbol: replace(spec, symbols=(symbol,)) for symbol in spec.symbols}
    return make_tables({symbol: simulate(bars, own) for symbol, own in one.items()})


def as_json(tables: ResultTables, indent: int | None) -> bytes:
    """The same rows and columns as JSON, times as ISO text."""
    rows = {name: [_plain(row) for row in table.to_pylist()] for name, table in tables.by_name().items()}
    return json.dumps(rows, indent=indent, separators=None if indent else (",", ":")).encode()


def _plain(row: dict[str, object]) -> dict[str, object]:
    return {name: str(value) if "timestamp" in name and value is not None else value for name, value in row.items()}


def same_bits(one: pa.Table, other: pa.Table) -> bool:
    """Whether both hold the same, floats bit by bit."""
    bits = [
        [
            column.fill_null(0.0).to_numpy().view(np.int64) if pa.types.is_floating(column.type) else column
            for column in table
        ]
        for table in (one, other)
    ]
    pairs = zip(*bits, strict=True)
    equal = all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a.equals(b) for a, b in pairs)
    return equal and all(a.is_null().equals(b.is_null()) for a, b in zip(one, other, strict=True))


class Shelf:
    """A result store of its own, in a folder, on SQLite."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings.from_env({"DATA_DIR": str(folder)})
        upgrade(self.settings.database_url)
        self.engine = make_engine(self.settings.database_url)

    def save(self, spec: BacktestSpec, tables: ResultTables) -> backtests.Backtest:
        """Claim and save as a worker does; the row."""
        with session_scope(self.engine) as session:
            raw = spec_to_dict(spec)
            task_id = backtests.create(session, spec=raw, owner_id=None, source="command").task_id
            claim = backtests.claim(session, task_id, worker="benchmark")
        assert claim is not None
        result_store.save(self.engine, self.settings, claim, tables, metrics={}, metadata={})
        with session_scope(self.engine) as session:
            return backtests.get(session, task_id)

    def read(self, row: backtests.Backtest) -> dict[str, pa.Table]:
        """All columns of all tables."""
        return {name: result_store.read_table(self.settings, row, name) for name in TABLES}


def measure(report: Report, shelf: Shelf, case: tuple[str, int, int], *, file: Path, runs: int) -> None:
    """Add the figures of one strategy, number of bars and number of symbols."""
    strategy, bars, symbols = case
    spec = spec_of(strategy, symbols)
    tables = result_of(spec, load_bars(file, bars))
    row = shelf.save(spec, tables)
    read = shelf.read(row)
    assert all(same_bits(read[name], table) for name, table in tables.by_name().items()), "a bit was lost"
    size, compact = float(row.file_size or 0), as_json(tables, None)
    name = f"{strategy}, {symbols} x {bars:,} bars, {row.record_count:,} trades"
    report.add(f"{name}: stored", "kB", [size / 1000])
    report.add(
        f"{name}: smaller than JSON, indent 2", "%", [100 * (1 - size / len(as_json(tables, 2)))], GOAL.get(bars, "")
    )
    report.add(f"{name}: smaller than compact JSON", "%", [100 * (1 - size / len(compact))])
    report.add(f"{name}: smaller than gzip JSON", "%", [100 * (1 - size / len(gzip.compress(compact)))])
    report.add(f"{name}: save", "ms", timed(lambda: shelf.save(spec, tables), runs), "goal 50 at 10,000 trades")
    report.add(f"{name}: read all", "ms", timed(lambda: shelf.read(row), runs), "goal 25 at 10,000 trades")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench storage", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--runs", type=int, default=15, help="samples of each figure (at least 5)")
    parser.add_argument("--file", type=Path, default=REAL_MINUTES if REAL_MINUTES.exists() else SAMPLE)
    options = parser.parse_args(argv)
    report = Report("storage")
    report.notes.append(f"bars of {options.file.name}, repeated as often as needed; every column read back bit for bit")
    with tempfile.TemporaryDirectory(prefix="coin-hts-bench-") as folder:
        shelf = Shelf(Path(folder))
        for case in CASES:
            measure(report, shelf, case, file=options.file, runs=max(5, options.runs))
        shelf.engine.dispose()
    report.show(as_json=options.json)
    return 0
