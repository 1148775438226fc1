"""Lines of people's own strategies in a run: drawn, stored, or left out with the reason; never at the result's cost."""

from dataclasses import replace

import numpy as np
import pytest

from storage_core import backtests, result_store
from storage_core.bar_store import BarStore
from storage_core.db import session_scope
from storage_core.strategy_lines import drawn, problem
from tests.workers.examples import kinds, row, spec, wave
from workers import run_backtest
from workers.check_strategy import main as check_strategy
from workers.runtime import Runtime

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
SIGNALS = """
import numpy as np
from engine.lines import DrawnLine
from engine.signals import long_only

def signals(bars, params):
    rose = np.diff(bars.close, prepend=np.inf) > 0
    return long_only(rose, ~rose)
"""
MEAN = """
def lines(bars, params):
    before = np.concatenate([[np.nan], bars.close[:-1]])
    return [DrawnLine("Mean 2", (before + bars.close) / 2), DrawnLine("Half", np.full(len(bars), 50.0), "below", True)]
"""
ONLY_BITCOIN = """
def lines(bars, params):
    return [DrawnLine("Dear" if bars.close[0] > 125 else "Cheap", bars.close)]
"""
SAYS_NONSENSE = """
class Rude(Exception):
    def __str__(self):
        return "a\\x00b\\ud800c" + "!" * 5000

def lines(bars, params):
    raise Rude
"""
FAILING = {
    "raises": ("def lines(bars, params):\n    return 1 / 0\n", "lines failed: ZeroDivisionError: division by zero"),
    "leaves": ("def lines(bars, params):\n    raise SystemExit\n", "lines failed: SystemExit"),
    "short": ('def lines(bars, params):\n    return [DrawnLine("A", bars.close[1:])]\n', "float64 of shape (743,)"),
    "twice": ('def lines(bars, params):\n    return [DrawnLine("A", bars.close)] * 2\n', "two lines are called 'A'"),
    "hostile": ('def lines(bars, params):\n    return [DrawnLine("a\\x00b", bars.close)]\n', r"was 'a\x00b'; allowed"),
    "writes": ("def lines(bars, params):\n    bars.close[:] = 1\n", "read-only"),
    "tomorrow": (
        'def lines(bars, params):\n    return [DrawnLine("T", np.append(bars.close[1:], 0.0))]\n',
        "the line 'T' changes at bar",
    ),
    "symbols": (ONLY_BITCOIN, "the lines of USD-ETH are others than those of USD-BTC"),
}


@pytest.fixture
def runtime(settings, tmp_path):
    folder = tmp_path / "strategies"
    folder.mkdir()
    store = BarStore(settings.bars_dir)
    store.merge("USD-BTC", "1h", wave(744))
    dearer = wave(744)
    store.merge(
        "USD-ETH", "1h", {name: column if name == "timestamp" else column + 50 for name, column in dearer.items()}
    )
    runtime = Runtime(replace(settings, strategies_dir=folder))
    yield runtime
    runtime.close()


def write(runtime, name, lines):
    (runtime.settings.strategies_dir / f"{name}.py").write_text(SIGNALS + lines)


def ran(runtime, name, *symbols):
    with session_scope(runtime.engine) as session:
        own = {**spec(), "strategy": name, "params": {}, "symbols": list(symbols or ["USD-BTC"])}
        task_id = backtests.create(session, spec=own, owner_id=None, source="web").task_id
    assert run_backtest.run(runtime, task_id)
    return row(runtime, task_id)


@SQLITE
def test_lines_are_stored_with_the_result(runtime):
    write(runtime, "mine", MEAN)
    done = ran(runtime, "mine", "USD-BTC", "USD-ETH")
    assert done.status == "completed"
    assert drawn(done.metadata_) == [
        {"label": "Mean 2", "pane": "price", "faint": False},
        {"label": "Half", "pane": "below", "faint": True},
    ]
    table = result_store.read_lines(runtime.settings, done, symbol="USD-BTC")
    closes = wave(744)["close"]
    assert table["line_1"].null_count == 1
    assert np.array_equal(table["line_1"].to_numpy()[1:], (closes[:-1] + closes[1:]) / 2)
    assert np.array_equal(table["timestamp"].cast("int64").to_numpy(), wave(744)["timestamp"])
    dearer = result_store.read_lines(runtime.settings, done, symbol="USD-ETH")
    assert dearer["line_1"].to_numpy()[1] == pytest.approx(table["line_1"].to_numpy()[1] + 50)
    assert "lines" in done.metadata_["seconds"]


@SQLITE
def test_failing_lines_leave_the_result_as_it_would_be_without_them(runtime):
    write(runtime, "plain", "")
    plain = ran(runtime, "plain", "USD-BTC", "USD-ETH")
    before = {table: result_store.read_table(runtime.settings, plain, table) for table in result_store.TABLES}
    for name, (lines, says) in FAILING.items():
        write(runtime, name, lines)
        done = ran(runtime, name, "USD-BTC", "USD-ETH")
        assert (done.status, done.attempt) == ("completed", 1), name
        assert says in problem(done.metadata_), name
        assert (drawn(done.metadata_), result_store.read_lines(runtime.settings, done)) == ([], None)
        assert kinds(runtime, done.task_id)[-2:] == ["completed", "lines_missing"]
        assert (done.metadata_["metrics"], done.metadata_["lookahead"]["ok"]) == (plain.metadata_["metrics"], True)
        for table, expected in before.items():
            assert result_store.read_table(runtime.settings, done, table).equals(expected), name


def test_whatever_an_error_says_every_database_takes_it(runtime):
    write(runtime, "mine", SAYS_NONSENSE)
    done = ran(runtime, "mine")
    assert (done.status, drawn(done.metadata_)) == ("completed", [])
    assert problem(done.metadata_).startswith("lines failed: Rude: a b c!!!")
    assert len(problem(done.metadata_)) == 500


@SQLITE
def test_a_strategy_without_lines_says_nothing_of_them(runtime):
    write(runtime, "plain", "")
    done = ran(runtime, "plain")
    assert "lines" not in done.metadata_
    assert kinds(runtime, done.task_id)[-1] == "completed"


@SQLITE
def test_lines_that_never_end_are_stopped_as_signals_are(runtime):
    write(runtime, "mine", "def lines(bars, params):\n    while True:\n        pass\n")
    runtime.settings = replace(runtime.settings, backtest_time_limit=1)
    done = ran(runtime, "mine")
    assert (done.status, done.error_code) == ("failed", "time_limit")


def test_check_strategy_looks_at_the_lines(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "strategies"
    folder.mkdir()
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("STRATEGIES_DIR", str(folder))
    BarStore(tmp_path / "data" / "bars").merge("USD-BTC", "1h", wave(2000))
    (folder / "mine.py").write_text(SIGNALS + MEAN)
    assert check_strategy(["mine"]) == 0
    assert "ok    lines: Mean 2, Half" in capsys.readouterr().out
    for lines, says in (FAILING["tomorrow"], FAILING["twice"]):
        (folder / "mine.py").write_text(SIGNALS + lines)
        assert check_strategy(["mine"]) == 1
        said = capsys.readouterr().out
        assert "ok    USD-BTC 1h, 2,000 bars" in said
        assert "FAIL  its lines would not be drawn: " in said
        assert says in said
