"""A quick measurement of the own store: how long it takes to save, read and verify a result right there.

Everything happens in scratch beside the results (a folder, or objects under a prefix of their own) that is removed
afterwards; rows go to a scratch database. Of the own database, only the first page of the list is read.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Engine

from storage_core import backtests, migrate, result_store
from storage_core.backtest_list import list_page
from storage_core.chosen import Choice
from storage_core.db import make_engine, session_scope
from storage_core.derive import compute, constants_of
from storage_core.files import disk_problems
from storage_core.formulas import FORMULAS
from storage_core.models import Backtest
from storage_core.result_store import TABLES, ResultTables
from storage_core.schemas import SCHEMAS
from storage_core.settings import Settings
from storage_core.verify import verify

HOUR = 3_600_000_000
FIRST = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
SPEC: dict[str, Any] = {
    "strategy": "benchmark", "params": {}, "symbols": ["KRW-BTC"], "timeframe": "1h", "start_date": "2024-01-01",
    "end_date": "2024-12-31", "initial_cash": 10_000.0, "costs": {"fee_rate": 0.001},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing, in milliseconds."""

    name: str
    lowest: float
    median: float
    highest: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Where it was measured, the bytes of one result, and the figures."""

    where: str
    bytes: int
    figures: tuple[Figure, ...]

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        figures = {
            one.name: {"min_ms": one.lowest, "median_ms": one.median, "max_ms": one.highest} for one in self.figures
        }
        return {"where": self.where, "bytes": self.bytes, "figures": figures}


def measure(engine: Engine, settings: Settings, *, trades: int, bars: int, runs: int) -> Measured:
    """Measure with results of that many trades and bars. Raises DiskProblem and, with S3, ObjectError."""
    tables = made_up(trades, bars)
    with _scratch(settings) as (own, scratch):
        rows: list[Backtest] = []
        figures = (
            timed("save a result", runs, lambda: rows.append(_save(own, scratch, tables))),
            timed("read all of a result", runs, lambda: _read(scratch, rows[0])),
            timed("read one column", runs, lambda: _read_column(scratch, rows[0])),
            timed("verify a result", runs, lambda: _verify(own, scratch, rows[0])),
            timed("first page of the own list", runs, lambda: _list(engine)),
        )
        where = settings.results_uri or str(settings.results_dir)
        return Measured(where, rows[0].file_size or 0, figures)


def made_up(trades: int, bars: int) -> ResultTables:
    """Tables of one symbol in which all formulas hold; prices walk at random, the same way each time."""
    random = np.random.default_rng(7)
    constants = constants_of(SPEC, 3600)
    entry = np.round(50_000 * np.exp(np.cumsum(random.normal(0, 0.002, trades))), 2)
    signals: dict[str, Any] = {
        "symbol": np.zeros(trades, np.int64),
        "type": np.ones(trades),
        "timestamp": FIRST + np.arange(trades) * 4 * HOUR,
        "entry_price": entry,
        "exit_price": np.round(entry * random.normal(1.001, 0.01, trades), 2),
        "quantity": np.round(10_000 / entry, 8),
        "hold_bars": np.full(trades, 3),
        "mae_pct": -np.abs(random.normal(0, 1, trades)),
        "mfe_pct": np.abs(random.normal(0, 1, trades)),
        "slippage_amount": np.zeros(trades),
    }
    for name in ("signal_index", "fee_amount", "pnl", "return_pct", "exit_timestamp"):
        signals[name] = compute(FORMULAS["symbol_signals"][name], signals, constants)
    curve: dict[str, Any] = {
        "symbol": np.zeros(bars, np.int64),
        "timestamp": FIRST + np.arange(bars) * HOUR,
        "equity": 10_000 * np.exp(np.cumsum(random.normal(0, 0.003, bars))),
    }
    for name in ("idx", "drawdown", "cumulative_pnl", "cumulative_pnl_pct"):
        curve[name] = compute(FORMULAS["performance_curve"][name], curve, constants)
    texts = {"symbol": "KRW-BTC", "type": "buy", "status": "closed", "exit_reason": "signal"}
    signals |= {name: pa.repeat(text, trades) for name, text in texts.items()}
    curve["symbol"] = pa.repeat("KRW-BTC", bars)
    summary: dict[str, Any] = {name: [0] for name in SCHEMAS["symbol_summary"].names}
    summary |= {"symbol": ["KRW-BTC"], "total_signals": [trades]}
    made = {"symbol_summary": summary, "symbol_signals": signals, "performance_curve": curve}
    return ResultTables(**{name: _table(name, columns) for name, columns in made.items()})


def timed(name: str, runs: int, work: Callable[[], object]) -> Figure:
    """Do `work` once to warm up, then `runs` times."""
    work()
    samples = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        samples.append(1000 * (time.perf_counter() - start))
    return Figure(name, min(samples), median(samples), max(samples))


@contextmanager
def _scratch(settings: Settings) -> Iterator[tuple[Engine, Settings]]:
    """A store of its own where the results of `settings` are kept, and its database."""
    with disk_problems(settings.results_dir):
        settings.results_dir.mkdir(parents=True, exist_ok=True)
        folder = Path(mkdtemp(dir=settings.results_dir, prefix=".benchmark-"))
    bucket = settings.results_bucket
    place = f"{bucket}/benchmark-{secrets.token_hex(8)}" if bucket is not None else str(folder / "results")
    url = f"sqlite:///{folder}/scratch.sqlite3"
    scratch = replace(settings, data_dir=folder, database_url=url, results_uri=place)
    migrate.upgrade(url)
    own = make_engine(url)
    try:
        yield own, scratch
    finally:
        own.dispose()
        if bucket is not None:
            _remove_objects(scratch)
        shutil.rmtree(folder, ignore_errors=True)


def _remove_objects(scratch: Settings) -> None:
    from storage_core.object_store import provider_for

    with provider_for(str(scratch.results_uri), scratch) as provider:
        for info in list(provider.list()):
            provider.delete(info.key)


def _save(engine: Engine, settings: Settings, tables: ResultTables) -> Backtest:
    with session_scope(engine) as session:
        task_id = backtests.create(session, spec=SPEC, owner_id=None, source="command").task_id
        claim = backtests.claim(session, task_id, worker="benchmark")
    if claim is None:
        raise RuntimeError("nobody else takes rows of a scratch database")
    result_store.save(engine, settings, claim, tables, metrics={}, metadata={})
    with session_scope(engine) as session:
        return backtests.get(session, task_id)


def _read(settings: Settings, row: Backtest) -> None:
    for name in TABLES:
        result_store.read_table(settings, row, name)


def _read_column(settings: Settings, row: Backtest) -> None:
    result_store.read_table(settings, row, "performance_curve", columns=["equity"])


def _verify(engine: Engine, settings: Settings, row: Backtest) -> None:
    verify(engine, settings, Choice(task_ids=(row.task_id,)))


def _list(engine: Engine) -> None:
    with session_scope(engine) as session:
        list_page(session)


def _table(name: str, columns: dict[str, Any]) -> pa.Table:
    return pa.table([pa.array(columns[field.name]).cast(field.type) for field in SCHEMAS[name]], schema=SCHEMAS[name])
