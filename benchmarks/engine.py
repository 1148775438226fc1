"""One moving average cross over up to 1,000,000 real bars: this engine beside vectorbt and backtesting.py.

Work: SMA 10/30 cross, all cash, fee 0.01%, filled at the next open; from bars to trades and equity; warm, one thread.
Every engine's final equity is compared before anything is timed.
"""

import argparse
import contextlib
import io
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import Report
from engine.bars import Bars
from engine.metrics import summarise
from engine.portfolio import combine
from engine.simulation import simulate
from engine.spec import BacktestSpec, Costs

ROOT = Path(__file__).parents[1]
REAL_MINUTES = ROOT.parent / "shared" / "data" / "candles" / "USDT-BTC_1m.parquet"
SAMPLE = ROOT / "storage_core" / "sample" / "USD-BTC_1h.parquet"
MINUTE = 60_000_000
CASH, FEE, FAST, SLOW = 1e9, 0.0001, 10, 30  # with a higher fee nothing is left to compare after a million bars
SIZES = (10_000, 100_000, 1_000_000)
WHOLE_PROCESS_BARS = 100_000

Run = Callable[[Bars], float]


def load_bars(path: Path, count: int) -> Bars:
    """That many bars: the file's own, over and over."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    rows = np.arange(count) % table.num_rows
    columns = [table[name].to_numpy()[rows] for name in ("open", "high", "low", "close", "volume")]
    return Bars(np.arange(count, dtype=np.int64) * MINUTE, *columns)


# -- this engine -------------------------------------------------------------------------------------------------------

SPEC = BacktestSpec(
    strategy="sma_cross",
    params={"fast": FAST, "slow": SLOW},
    symbols=("USDT-BTC",),
    timeframe="1m",
    start_date=date(2024, 1, 1),
    end_date=date(2025, 12, 31),
    initial_cash=CASH,
    costs=Costs(fee_rate=FEE, slippage_rate=0.0),
)


def ours(bars: Bars) -> float:
    return simulate(bars, SPEC).final_equity


def ours_with_metrics(bars: Bars) -> float:
    runs = {"USDT-BTC": simulate(bars, SPEC)}
    return float(summarise(runs, combine(runs))["final_equity"] or 0.0)


# -- vectorbt ----------------------------------------------------------------------------------------------------------


def vectorbt_core() -> Run:
    """Its compiled functions alone, without pandas: the leanest way through it."""
    from vectorbt.generic.nb import rolling_mean_1d_nb
    from vectorbt.portfolio import nb
    from vectorbt.records.nb import col_map_nb

    def run(bars: Bars) -> float:
        shape, cash = (len(bars), 1), np.array([CASH])
        fast, slow = rolling_mean_1d_nb(bars.close, FAST), rolling_mean_1d_nb(bars.close, SLOW)
        above, below = fast > slow, fast < slow
        enter, leave = np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
        # Shifted by one more: the signal's fill is at the next open.
        enter[SLOW + 1 :, 0] = above[SLOW:-1] & ~above[SLOW - 1 : -2]
        leave[SLOW + 1 :, 0] = below[SLOW:-1] & ~below[SLOW - 1 : -2]
        close = bars.close[:, None]
        groups = np.array([1])
        orders, _ = nb.simulate_from_signals_nb(
            shape, groups, cash, nb.build_call_seq_nb(shape, groups), entries=enter, exits=leave,
            price=bars.open[:, None], fees=np.asarray(FEE), close=close, use_stops=False,
            max_orders=int(enter.sum() + leave.sum()) + 1,
        )  # fmt: skip
        columns = col_map_nb(orders["col"], 1)
        nb.get_exit_trades_nb(orders, close, columns)
        assets = nb.assets_nb(nb.asset_flow_nb(shape, orders, columns, 0))
        money = nb.cash_nb(nb.cash_flow_nb(shape, orders, columns, False), cash)
        return float(nb.value_nb(money, nb.asset_value_nb(close, assets))[-1, 0])

    return run


def vectorbt_idiomatic() -> Run:
    """As its documentation has it."""
    import pandas as pd
    import vectorbt as vbt

    def run(bars: Bars) -> float:
        index = pd.to_datetime(bars.timestamp, unit="us")
        close, open_ = pd.Series(bars.close, index), pd.Series(bars.open, index)
        fast, slow = vbt.MA.run(close, FAST), vbt.MA.run(close, SLOW)
        enter = fast.ma_crossed_above(slow).vbt.signals.fshift(1)
        leave = fast.ma_crossed_below(slow).vbt.signals.fshift(1)
        result = vbt.Portfolio.from_signals(
            close, enter, leave, price=open_, fees=FEE, init_cash=CASH, freq="1min", direction="longonly"
        )
        _ = result.trades.records
        return float(result.value().iloc[-1])

    return run


# -- backtesting.py ----------------------------------------------------------------------------------------------------


def backtesting_py() -> Run:
    import pandas as pd
    from backtesting import Strategy
    from backtesting.lib import FractionalBacktest, crossover

    class Cross(Strategy):  # type: ignore[misc]
        def init(self) -> None:
            close = pd.Series(self.data.Close)
            self.fast = self.I(lambda: close.rolling(FAST).mean().to_numpy(), plot=False)
            self.slow = self.I(lambda: close.rolling(SLOW).mean().to_numpy(), plot=False)

        def next(self) -> None:
            if not self.position and crossover(self.fast, self.slow):
                self.buy(size=0.9999999999)
            elif self.position and crossover(self.slow, self.fast):
                self.position.close()

    def run(bars: Bars) -> float:
        columns = {"Open": bars.open, "High": bars.high, "Low": bars.low, "Close": bars.close, "Volume": bars.volume}
        frame = pd.DataFrame(columns, pd.to_datetime(bars.timestamp, unit="us"))
        test = FractionalBacktest(frame, Cross, cash=CASH, commission=FEE, fractional_unit=1e-8)
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            return float(test.run()["Equity Final [$]"])

    return run


PEERS: dict[str, Callable[[], Run]] = {
    "vectorbt core": vectorbt_core,
    "vectorbt idiomatic": vectorbt_idiomatic,
    "backtesting.py": backtesting_py,
}


def engines(report: Report) -> dict[str, Run]:
    """Ours, and each peer that is installed; a note names the ones that are not."""
    found: dict[str, Run] = {"coin-hts": ours, "coin-hts with metrics": ours_with_metrics}
    for name, load in PEERS.items():
        try:
            found[name] = load()
        except ImportError as error:
            report.notes.append(f"{name} is not installed ({error}): pip install --group peers")
    return found


def timed(run: Run, bars: Bars, runs: int) -> list[float]:
    run(bars)
    samples = []
    for _ in range(runs):
        start = time.perf_counter()
        run(bars)
        samples.append(time.perf_counter() - start)
    return samples


def compare(report: Report, found: dict[str, Run], bars: Bars, runs: int) -> None:
    """Time every engine on these bars, and say how many times faster ours is."""
    expected = ours(bars)
    medians: dict[str, float] = {}
    for name, run in found.items():
        off = run(bars) / expected - 1.0
        report.notes.append(f"{len(bars):,} bars, {name}: final equity differs from ours by {off:.1e}")
        slow = name == "backtesting.py"
        samples = timed(run, bars, max(5, runs // 4) if slow else runs)
        report.add(f"{len(bars):>9,} bars  {name}", "ms", [1000 * sample for sample in samples])
        medians[name] = float(np.median(samples))
    for name, goal in (("vectorbt core", 3), ("vectorbt idiomatic", 3), ("backtesting.py", 200)):
        if name in medians:
            times = medians[name] / medians["coin-hts"]
            report.add(f"{len(bars):>9,} bars  times faster than {name}", "x", [times], f"goal {goal}")


# -- whole processes ---------------------------------------------------------------------------------------------------


def whole_process(report: Report, found: dict[str, Run], path: Path, runs: int) -> None:
    """From starting Python to the result, and the most memory it took (bars included)."""
    for name in ("coin-hts", "vectorbt core", "vectorbt idiomatic", "backtesting.py"):
        if name not in found:
            continue
        seconds, memory = [], []
        for _ in range(runs):
            start = time.perf_counter()
            child(name, path, WHOLE_PROCESS_BARS)
            seconds.append(time.perf_counter() - start)
        report.add(f"whole process, {WHOLE_PROCESS_BARS:,} bars  {name}", "s", seconds)
        if name != "backtesting.py":
            memory = [child(name, path, 1_000_000)["peak_mb"] for _ in range(runs)]
            report.add(f"peak memory, 1,000,000 bars  {name}", "MB", memory)


def child(name: str, path: Path, count: int) -> Any:
    command = [sys.executable, "-m", "benchmarks.engine", "--child", name, "--file", str(path), "--bars", str(count)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout)


def be_child(name: str, bars: Bars) -> None:
    run = ours if name == "coin-hts" else PEERS[name]()
    equity = run(bars)
    print(json.dumps({"equity": equity, "peak_mb": peak_memory()}))


def peak_memory() -> float:
    """MB of this process at its largest. Not ru_maxrss: a child inherits its parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1000


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench engine", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--runs", type=int, default=15, help="samples of each figure (at least 5)")
    parser.add_argument("--bars", type=int, nargs="*", default=SIZES, help="numbers of bars")
    parser.add_argument("--file", type=Path, default=REAL_MINUTES if REAL_MINUTES.exists() else SAMPLE)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    warnings.filterwarnings("ignore", module=r"vectorbt|backtesting|pandas")
    if options.child:
        be_child(options.child, load_bars(options.file, options.bars[0]))
        return 0
    report = Report("engine")
    report.notes.append(f"bars of {options.file.name}, repeated as often as needed")
    found = engines(report)
    for count in options.bars:
        compare(report, found, load_bars(options.file, count), max(5, options.runs))
    whole_process(report, found, options.file, 5)
    report.show(as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
