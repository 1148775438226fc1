"""volume_zone_breakout with its defaults, whole backtests of 100 to 100,000 bars, beside a per-bar Python profile.

The reference builds each bar's volume profile anew with numpy calls in Python loops, the cost shape of the legacy
system that this product replaces (it published 0.0228, 0.0708 and 0.2688 s for 100, 300 and 1,000 bars).
"""

import argparse
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.engine import REAL_MINUTES, SAMPLE, load_bars
from benchmarks.report import Report, timed
from engine.bars import Bars
from engine.catalog import get_strategy
from engine.kernels.records import ENTER
from engine.simulation import simulate
from engine.spec import BacktestSpec

SIZES = (100, 300, 1_000, 10_000, 100_000)
GOALS = {1_000: 200, 100_000: 400}

SPEC = BacktestSpec(
    strategy="volume_zone_breakout",
    params={param.name: param.default for param in get_strategy("volume_zone_breakout").params},
    symbols=("USDT-BTC",),
    timeframe="1m",
    start_date=date(2024, 1, 1),
    end_date=date(2025, 12, 31),
)


def per_bar_profile(bars: Bars) -> list[bool]:
    """The entries of the default params, every bar's profile made from nothing with small arrays."""
    window, num_bins, share = 10, 20, 0.2
    enter = [False] * len(bars)
    for i in range(window, len(bars)):
        lowest, highest = np.min(bars.low[i - window : i]), np.max(bars.high[i - window : i])
        total = np.sum(bars.volume[i - window : i])
        if highest <= lowest or total <= 0.0:
            continue
        edges = lowest + np.arange(num_bins) * ((highest - lowest) / num_bins)
        tops = np.append(edges[1:], highest)
        filled = np.zeros(num_bins)
        for j in range(i - window, i):
            low, high = bars.low[j], bars.high[j]
            if high == low:
                filled[np.searchsorted(edges, low, side="right") - 1] += bars.volume[j]
                continue
            overlap = np.maximum(np.minimum(tops, high) - np.maximum(edges, low), 0.0)
            filled += bars.volume[j] * (overlap / (high - low))
        gathered = np.cumsum(filled[::-1])
        number = num_bins - 1 - int(np.argmax(gathered >= (share - 1e-12) * total))
        enter[i] = bool(bars.high[i] >= edges[number])
    return enter


def beside_the_reference(report: Report, bars: Bars, runs: int) -> None:
    count = len(bars)
    run = simulate(bars, SPEC)
    same = ((run.wishes & ENTER) > 0).tolist() == per_bar_profile(bars)
    report.notes.append(
        f"{count:,} bars: {'the same entries' if same else 'DIFFERENT ENTRIES'}, {len(run.trades):,} trades"
    )
    samples = timed(lambda: simulate(bars, SPEC), runs)
    slow = timed(lambda: per_bar_profile(bars), 5)
    report.add(f"{count:>9,} bars  coin-hts, whole backtest", "ms", samples)
    report.add(f"{count:>9,} bars  per-bar profile, entries only", "ms", slow)
    goal = f"goal {GOALS[count]}" if count in GOALS else ""
    report.add(f"{count:>9,} bars  times faster", "x", [float(np.median(slow) / np.median(samples))], goal)


def by_bins_and_window(report: Report, bars: Bars, runs: int) -> None:
    for name, values in (("num_bins", (5, 20, 200)), ("volume_window", (10, 50, 500))):
        for value in values:
            spec = replace(SPEC, params={**SPEC.params, name: value})
            samples = timed(lambda spec=spec: simulate(bars, spec), runs)  # type: ignore[misc]
            report.add(f"{len(bars):>9,} bars  {name} {value}", "ms", samples)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench volume-zone", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--runs", type=int, default=15, help="samples of each figure (at least 5)")
    parser.add_argument("--file", type=Path, default=REAL_MINUTES if REAL_MINUTES.exists() else SAMPLE)
    options = parser.parse_args(argv)
    runs = max(5, options.runs)
    report = Report("volume-zone")
    report.notes.append(f"bars of {options.file.name}, repeated as often as needed")
    for count in SIZES:
        beside_the_reference(report, load_bars(options.file, count), runs)
    by_bins_and_window(report, load_bars(options.file, 100_000), runs)
    report.show(as_json=options.json)
    return 0
