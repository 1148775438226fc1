"""Lines of people's own strategies in a run: drawn, stored, or left out with the reason; never at the result's cost."""

from dataclasses import replace

import numpy as np
import pytest

from storage_core import backtests, result_store
from storage_core.bar_store import BarStore
from storage_core.chosen import Choice
from storage_core.db import session_scope
from storage_core.repair import DrawnAgain, put_lines_back, repair
from storage_core.strategy_lines import drawn, lost, problem
from storage_core.verification import create_verification
from storage_core.verify import verify as verify_results
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


def verify(runtime, task_id):
    with session_scope(runtime.engine) as session:
        again = create_verification(session, task_id, owner_id=None, by="kim").task_id
    assert run_backtest.run(runtime, again)
    return row(runtime, again).metadata_["verification"]


def lines_file(runtime, done):
    return runtime.settings.results_dir / row(runtime, done.task_id).parquet_path / "strategy_lines.parquet"


@SQLITE
def test_verifying_compares_the_lines(runtime):
    write(runtime, "mine", MEAN)
    done = ran(runtime, "mine", "USD-BTC", "USD-ETH")
    found = verify(runtime, done.task_id)
    assert (found["outcome"], found["lines"]) == ("identical", "identical")
    write(runtime, "mine", MEAN.replace("(before + bars.close) / 2", "bars.close"))
    found = verify(runtime, done.task_id)
    first = found["first_difference"]
    assert (found["outcome"], found["lines"], list(found["changed"])) == ("different", "different", ["strategy"])
    assert (first["what"], first["symbol"], first["index"], first["column"]) == ("line", "USD-BTC", 0, "Mean 2")
    assert (first["was"], first["at"][:10]) == (None, "2024-01-01")


@SQLITE
def test_verifying_finds_a_line_that_differs_in_one_bar_of_the_second_symbol(runtime):
    write(runtime, "mine", MEAN)
    done = ran(runtime, "mine", "USD-BTC", "USD-ETH")
    closes = wave(744)["close"] + 50
    other = MEAN.replace("    return", f"    before[bars.close == {closes.max()!r}] = 0.0\n    return")
    write(runtime, "mine", other)
    first = verify(runtime, done.task_id)["first_difference"]
    assert (first["symbol"], first["index"], first["column"]) == ("USD-ETH", closes.argmax(), "Mean 2")


@SQLITE
@pytest.mark.parametrize(
    ("lines", "now"),
    [
        ("", None),
        (MEAN.replace('"Half"', '"Quarter"'), "Mean 2 (price), Quarter (below, faint)"),
        (FAILING["raises"][0], "lines failed: ZeroDivisionError: division by zero"),
    ],
    ids=["none", "another label", "failing"],
)
def test_verifying_names_other_lines(runtime, lines, now):
    write(runtime, "mine", MEAN)
    done = ran(runtime, "mine")
    write(runtime, "mine", lines)
    found = verify(runtime, done.task_id)
    assert found["outcome"] == "different"
    first = found["first_difference"]
    assert (first["what"], first["was"], first["now"]) == ("lines", "Mean 2 (price), Half (below, faint)", now)


@SQLITE
@pytest.mark.parametrize("given_up", [False, True], ids=["file gone", "given up by a repair"])
def test_verifying_puts_lost_lines_back(runtime, given_up):
    write(runtime, "mine", MEAN)
    done = ran(runtime, "mine", "USD-BTC", "USD-ETH")
    before = result_store.read_lines(runtime.settings, done)
    lines_file(runtime, done).unlink()
    if given_up:
        assert list(repair(runtime.engine, runtime.settings).repaired) == [done.task_id]
        assert lost(row(runtime, done.task_id).metadata_)
    found = verify(runtime, done.task_id)
    assert (found["outcome"], found["lines"]) == ("identical", "restored")
    now = row(runtime, done.task_id)
    assert result_store.read_lines(runtime.settings, now).equals(before)
    assert (drawn(now.metadata_), problem(now.metadata_)) == (drawn(done.metadata_), "")
    assert now.record_count == done.record_count
    assert verify_results(runtime.engine, runtime.settings, Choice()).findings == []
    assert kinds(runtime, done.task_id)[-2:] == ["verify_asked", "repaired"]
    assert verify(runtime, done.task_id)["lines"] == "identical"
    assert row(runtime, done.task_id).revision == now.revision


@SQLITE
def test_lines_of_other_code_are_not_put_back(runtime):
    write(runtime, "mine", MEAN)
    done = ran(runtime, "mine")
    lines_file(runtime, done).unlink()
    repair(runtime.engine, runtime.settings)
    write(runtime, "mine", MEAN + "# another sha256\n")
    found = verify(runtime, done.task_id)
    assert (found["outcome"], found["lines"]) == ("identical", "lost")
    assert "code of the strategy" in found["lines_reason"]
    assert lost(row(runtime, done.task_id).metadata_)


@SQLITE
@pytest.mark.parametrize("step", ["lines", "staged", "moved", "written"])
def test_killed_while_lines_are_put_back(runtime, step):
    write(runtime, "mine", MEAN)
    done = ran(runtime, "mine")
    table, facts = result_store.read_lines(runtime.settings, done), drawn(done.metadata_)
    lines_file(runtime, done).unlink()
    repair(runtime.engine, runtime.settings)

    def dies(name):
        if name == step:
            raise KeyboardInterrupt

    again = DrawnAgain(table, facts)
    with pytest.raises(KeyboardInterrupt):
        put_lines_back(runtime.engine, runtime.settings, done.task_id, again, on_step=dies)
    assert lost(row(runtime, done.task_id).metadata_)
    assert put_lines_back(runtime.engine, runtime.settings, done.task_id, again)
    assert result_store.read_lines(runtime.settings, row(runtime, done.task_id)).equals(table)
    assert not put_lines_back(runtime.engine, runtime.settings, done.task_id, again), "they are there"
