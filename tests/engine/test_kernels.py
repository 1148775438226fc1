"""Kernels: their cache, their Python twins, and the indicators against TA-Lib."""

import ast
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import talib

from engine import kernels
from engine.catalog import STRATEGIES
from engine.kernels.indicators import bollinger, ema, extreme_before, macd, wilder_rsi
from engine.kernels.orders import to_step
from engine.simulation import simulate
from engine.spec import Exits, Sizing
from engine.trades import Trades
from tests.engine.made import flat_bars, random_bars, spec_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "engine" / "kernels"
CLOSES = random_bars(np.random.default_rng(1), 600).close


@pytest.mark.parametrize("period", [2, 5, 14])
def test_rsi(period):
    np.testing.assert_allclose(wilder_rsi(CLOSES, period), talib.RSI(CLOSES, period), rtol=1e-9)


@pytest.mark.parametrize("window", [2, 10, 55])
def test_highest_and_lowest_before(window):
    highest, lowest = talib.MAX(CLOSES, window), talib.MIN(CLOSES, window)
    np.testing.assert_array_equal(extreme_before(CLOSES, window, 1.0)[1:], highest[:-1])
    np.testing.assert_array_equal(extreme_before(CLOSES, window, -1.0)[1:], lowest[:-1])


@pytest.mark.parametrize("period", [2, 20])
def test_bollinger(period):
    middle, deviation = bollinger(CLOSES, period)
    np.testing.assert_allclose(middle, talib.SMA(CLOSES, period), rtol=1e-9)
    np.testing.assert_allclose(deviation, talib.STDDEV(CLOSES, period, 1), rtol=1e-6, atol=1e-6)


def test_ema_and_macd():
    np.testing.assert_allclose(ema(CLOSES, 9, 8), talib.EMA(CLOSES, 9), rtol=1e-9)
    line, signal = macd(CLOSES, 12, 26, 9)
    theirs, their_signal, _ = talib.MACD(CLOSES, 12, 26, 9)
    known = ~np.isnan(theirs)
    np.testing.assert_allclose(line[known], theirs[known], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(signal, their_signal, rtol=1e-7, atol=1e-9)


def test_indicators_of_too_few_bars_are_unknown():
    short = flat_bars([1.0, 2.0]).close
    unknown = [wilder_rsi(short, 14), ema(short, 9, 8), *macd(short, 12, 26, 9), *bollinger(short, 20)]
    assert all(np.isnan(values).all() for values in unknown)


@pytest.mark.parametrize(
    ("value", "step", "up", "expected"),
    [
        (0.3, 0.1, False, 0.3), (0.3, 0.1, True, 0.3), (0.35, 0.1, False, 0.3), (0.35, 0.1, True, 0.4),
        (1.9999999999999998, 1.0, False, 2.0), (0.0005, 0.001, False, 0.0), (7.0, 3.0, True, 9.0),
        (1e-9, 1e-8, False, 0.0),
    ],
)  # fmt: skip
def test_rounding_to_a_step(value, step, up, expected):
    assert to_step(value, step, up) == expected


def fingerprint() -> str:
    """sha256 of everything that all strategies' simulations compute."""
    digest = hashlib.sha256()
    bars = random_bars(np.random.default_rng(2), 260, spread=0.01)
    for name in STRATEGIES:
        for fill in ("next_open", "same_close"):
            spec = spec_of(
                name,
                direction="both",
                fill=fill,
                sizing=Sizing(quantity_step=0.001, price_tick=0.01),
                exits=Exits(stop_loss=0.02, take_profit=0.03, trailing_stop=0.025),
            )
            run = simulate(bars, spec)
            for values in (
                run.wishes,
                run.equity,
                run.position,
                *(getattr(run.trades, column) for column in Trades.__slots__),
            ):
                digest.update(np.ascontiguousarray(values).tobytes())
            digest.update(repr((run.best_return, run.ambiguous_bars, run.unfilled_orders)).encode())
    return digest.hexdigest()


def in_child(code: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **env}
    )
    return done.stdout.strip()


def test_compiled_code_and_its_python_twin_agree_to_the_last_bit():
    twin = in_child(
        "from tests.engine.test_kernels import fingerprint; print(fingerprint())",
        NUMBA_DISABLE_JIT="1",
        PYTHONWARNINGS="ignore",
    )
    assert twin == fingerprint()


def test_the_cache_folder_is_named_by_the_sources(tmp_path):
    code = "import engine.kernels, os, numba; print(os.environ['NUMBA_CACHE_DIR']); print(numba.config.CACHE_DIR)"
    digest = kernels.sources_digest()
    chosen = in_child(code, NUMBA_CACHE_DIR=str(tmp_path)).split()
    assert chosen == [str(tmp_path / f"kernels-{digest}")] * 2
    inherited = in_child(code, NUMBA_CACHE_DIR=str(tmp_path / "kernels-0123456789abcdef")).split()
    assert inherited == chosen
    assert in_child(code, NUMBA_CACHE_DIR="", HOME=str(tmp_path)).split()[0].startswith(str(tmp_path / ".cache"))
    nowhere = in_child(code, NUMBA_CACHE_DIR="/proc/none").split()[0]
    assert nowhere.endswith(f"kernels-{digest}")
    assert not nowhere.startswith("/proc")


def test_the_digest_is_that_of_every_source():
    digest = hashlib.sha256()
    for path in sorted(FOLDER.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    assert kernels.sources_digest() == digest.hexdigest()[:16]


def test_everything_in_kernels_is_compiled_and_nothing_elsewhere_is():
    for path in (ROOT / "engine").rglob("*.py"):
        tree = ast.parse(path.read_text())
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        compiled = [node for node in functions if any(ast.unparse(mark) == "njit" for mark in node.decorator_list)]
        if path.parent != FOLDER:
            assert compiled == [], path
        elif path.name != "__init__.py":
            assert compiled == functions, path
            assert all(len(node.args.args) <= 8 for node in functions), path


def test_warm_up_leaves_nothing_to_compile():
    code = """
from engine.warm_up import warm_up
warm_up()
from engine.kernels import averages, indicators, orders, step, volume
kernels = [value for module in (averages, indicators, orders, step, volume) for value in vars(module).values()
           if hasattr(value, "signatures")]
before = {id(kernel): len(kernel.signatures) for kernel in kernels}
import numpy as np, pyarrow as pa
from engine.bars import Bars
from engine.catalog import STRATEGIES
from engine.lookahead import check_lookahead
from engine.positions import Bar, PositionManager
from engine.signals import Wish
from engine.simulation import simulate
from tests.engine.made import random_bars, spec_of
bars = random_bars(np.random.default_rng(1), 400)
columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
frozen = Bars(bars.timestamp, *(pa.array(column).to_numpy() for column in columns))
for name in STRATEGIES:
    for some in (bars, frozen):
        check_lookahead(some, spec_of(name, direction="both"), simulate(some, spec_of(name)).wishes)
        if name == "volume_zone_breakout":
            simulate(some, spec_of(name, {"include_wicks": False}))
manager = PositionManager(spec_of("sma_cross"))
manager.on_bar("A-B", "x", Bar(0, 1.0, 1.0, 1.0, 1.0, 1.0), Wish.ENTER)
manager.on_signal("A-B", "x", Wish.ENTER)
print([kernel.__name__ for kernel in kernels if len(kernel.signatures) != before[id(kernel)]])
"""
    assert in_child(code) == "[]"
