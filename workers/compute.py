"""A spec and the stored bars in, a result ready to be stored out. Pure but for reading the bars."""

import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version
from typing import Any, Protocol

from engine import ENGINE_VERSION
from engine.bars import Bars, validate_bars
from engine.catalog import Catalog, get_strategy
from engine.lookahead import LookaheadReport, check_lookahead
from engine.metric_table import iso, stored_metrics
from engine.metrics import summarise
from engine.portfolio import PortfolioCurve, combine
from engine.simulation import Simulation, simulate
from engine.spec import TIMEFRAMES, BacktestSpec, parse_spec
from storage_core.already_run import day_range
from storage_core.bar_quality import quality_of
from storage_core.bar_table import BarTable, fingerprint
from storage_core.bars import bar_store_for
from storage_core.result_store import ResultTables
from storage_core.settings import Settings
from workers import VERSION
from workers.data_quality import Gaps, find_gaps
from workers.result_tables import ambiguity, make_tables, sparkline
from workers.strategy_lines import draw

READ_SHARE, SIMULATE_SHARE = 0.1, 0.9


class Follower(Protocol):
    """Who wants to know how far a run is, and may stop it by raising in `check`."""

    def report(self, progress: float, phase: str) -> None: ...
    def check(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `result_store.save` stores."""

    tables: ResultTables
    metrics: dict[str, float | int | str | None]
    metadata: dict[str, Any]


@dataclass(slots=True)
class Stopwatch:
    """Seconds spent in each phase."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time the block as `name`."""
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 6)


def compute(settings: Settings, raw_spec: Mapping[str, Any], follower: Follower, strategies: Catalog) -> Outcome:
    """Run the backtest `raw_spec` (as stored in its row) on the stored bars.

    Raises NoBars, SpecErrors, BarsError, and whatever `follower.check` raises to stop it.
    """
    spec = parse_spec(raw_spec, strategies)
    watch = Stopwatch()
    follower.report(0.0, "reading bars")
    with watch.phase("read"):
        bars = read_bars(settings, spec)
    follower.report(READ_SHARE, "simulating")
    with watch.phase("simulate"):
        simulations = _simulate_all(bars, spec, follower, strategies)
    follower.report(SIMULATE_SHARE, "checking for lookahead")
    with watch.phase("lookahead"):
        lookahead = [check_lookahead(run.bars, spec, run.wishes, strategies=strategies) for run in simulations.values()]
    follower.report(SIMULATE_SHARE, "computing metrics")
    with watch.phase("metrics"):
        curve = combine(simulations)
        metrics = stored_metrics(summarise(simulations, curve, annual_days=spec.annual_days))
        tables = make_tables(simulations)
    metadata = _metadata(spec, bars, simulations, curve, lookahead, watch)
    if (strategy := get_strategy(spec.strategy, strategies)).drawn is not None:
        follower.report(SIMULATE_SHARE, "drawing lines")
        with watch.phase("lines"):
            drawn, metadata["lines"] = draw(strategy, {symbol: run.bars for symbol, run in simulations.items()}, spec)
            tables = replace(tables, strategy_lines=drawn)
    return Outcome(tables, metrics, metadata)


def read_bars(settings: Settings, spec: BacktestSpec) -> dict[str, Bars]:
    """The validated bars of each symbol: whole days in the spec's time zone, the last `candle_size` bars of them."""
    start, end = day_range(spec.start_date, spec.end_date, spec.timezone)
    store = bar_store_for(settings)
    bars: dict[str, Bars] = {}
    for symbol in spec.symbols:
        table = store.read(symbol, spec.timeframe, start, end)
        kept = Bars(**table.columns())
        if spec.candle_size is not None:
            kept = kept.slice(max(0, len(kept) - spec.candle_size), len(kept))
        bars[symbol] = validate_bars(kept)
    return bars


def _simulate_all(
    bars: Mapping[str, Bars], spec: BacktestSpec, follower: Follower, strategies: Catalog
) -> dict[str, Simulation]:
    total = sum(len(symbol_bars) for symbol_bars in bars.values())
    before = 0
    simulations: dict[str, Simulation] = {}
    for symbol, symbol_bars in bars.items():

        def on_chunk(done: int, _of: int, before: int = before) -> None:
            share = (before + done) / total
            follower.report(READ_SHARE + (SIMULATE_SHARE - READ_SHARE) * share, "simulating")
            follower.check()

        simulations[symbol] = simulate(symbol_bars, spec, on_chunk, strategies=strategies)
        before += len(symbol_bars)
    return simulations


def _metadata(
    spec: BacktestSpec,
    bars: Mapping[str, Bars],
    simulations: Mapping[str, Simulation],
    curve: PortfolioCurve,
    lookahead: list[LookaheadReport],
    watch: Stopwatch,
) -> dict[str, Any]:
    gaps = Gaps()
    for symbol_bars in bars.values():
        gaps = gaps.join(find_gaps(symbol_bars.timestamp, TIMEFRAMES[spec.timeframe]))
    data = {symbol: _data_facts(symbol_bars) for symbol, symbol_bars in bars.items()}
    return {
        "bars": sum(len(symbol_bars) for symbol_bars in bars.values()),
        "data": data,
        "data_quality": {
            "missing_bars": gaps.missing_bars,
            "largest_gap_seconds": gaps.largest_gap_seconds,
            "largest_gap_at": None if gaps.largest_gap_at is None else iso(gaps.largest_gap_at),
            **_quality_figures(bars, TIMEFRAMES[spec.timeframe]),
        },
        "lookahead": {
            "ok": all(report.ok for report in lookahead),
            "prefixes": sum(report.prefixes for report in lookahead),
            "first_bar": next((report.first_bar for report in lookahead if not report.ok), None),
        },
        "ambiguous": ambiguity(simulations),
        "unfilled_orders": sum(simulation.unfilled_orders for simulation in simulations.values()),
        "sparkline": sparkline(curve.equity),
        "versions": versions(),
        "seconds": watch.seconds,
    }


def _quality_figures(bars: Mapping[str, Bars], seconds: int) -> dict[str, int]:
    """What else is to be said about the bars of a run, of all symbols together."""
    found = [quality_of(_table(symbol_bars), seconds) for symbol_bars in bars.values()]
    return {
        name: sum(getattr(one, name) for one in found) for name in ("zero_volume_bars", "jump_count", "off_grid_bars")
    }


def _table(bars: Bars) -> BarTable:
    return BarTable(bars.timestamp, bars.open, bars.high, bars.low, bars.close, bars.volume)


def _data_facts(bars: Bars) -> dict[str, Any]:
    return {
        "rows": len(bars),
        "first": iso(int(bars.timestamp[0])),
        "last": iso(int(bars.timestamp[-1])),
        "sha256": fingerprint(_table(bars)),
    }


@cache
def versions() -> dict[str, str]:
    """Versions of everything that may change a number; they stay the same as long as the process lives."""
    libraries = {name: version(name) for name in ("numpy", "numba", "pyarrow")}
    return {"coin_hts": VERSION, "engine": ENGINE_VERSION, "python": platform.python_version(), **libraries}
