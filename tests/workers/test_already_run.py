"""Already run: a hit when nothing changed, a miss when anything that decides the result did."""

import os
import shutil
from dataclasses import replace

import pytest

from engine.catalog import STRATEGIES
from engine.spec import parse_spec, spec_to_dict
from storage_core import already_run, sources
from storage_core.bar_store import BarStore
from storage_core.db import session_scope
from tests.workers.examples import queue, row, spec, wave
from workers import run_backtest
from workers.runtime import Runtime

OWN = '''"""Buys after a rise."""
import _shared
from engine.signals import long_only

def signals(bars, params):
    return long_only(_shared.rising(bars), ~_shared.rising(bars))
'''
SHARED = "import numpy as np\n\ndef rising(bars):\n    return np.diff(bars.close, prepend=bars.close[0]) > 0\n"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "strategies"
    folder.mkdir()
    (folder / "own.py").write_text(OWN)
    (folder / "_shared.py").write_text(SHARED)
    return folder


@pytest.fixture
def runtime(settings, folder):
    BarStore(settings.bars_dir).merge("USD-BTC", "1h", wave(60 * 24))
    runtime = Runtime(replace(settings, strategies_dir=folder))
    runtime.catalog()
    yield runtime
    runtime.close()


@pytest.fixture
def done(runtime):
    task_id = queue(runtime)
    run_backtest.run(runtime, task_id)
    return task_id


def ask(runtime, asked=None, signals=STRATEGIES["sma_cross"].signals):
    with session_scope(runtime.engine) as session:
        found = already_run.ask(session, BarStore(runtime.settings.bars_dir), asked or spec(), signals=signals)
    return found and found.task_id


def test_nothing_changed_is_a_hit(runtime, done):
    assert ask(runtime) == done
    assert row(runtime, done).run_key
    with session_scope(runtime.engine) as session:
        assert already_run.find_already_run(session, row(runtime, done).run_key, owner_id=7) is None


def test_bars_outside_of_its_range_change_nothing(runtime, done):
    later = wave(80 * 24)
    BarStore(runtime.settings.bars_dir).merge("USD-BTC", "1h", {k: v[60 * 24 :] for k, v in later.items()})
    assert ask(runtime) == done


def test_one_other_bit_in_the_data_is_a_miss(runtime, done):
    bars = wave(60 * 24)
    bars["volume"][100] = float.fromhex((bars["volume"][100]).hex()[:-4] + "0p+0") + 1e-9
    BarStore(runtime.settings.bars_dir).merge("USD-BTC", "1h", bars, wins="new")
    assert ask(runtime) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"params": {"fast": 11, "slow": 30}},
        {"costs": {"fee_rate": 0.0011}},
        {"exits": {"stop_loss": 0.02}},
        {"fill": "same_close"},
        {"initial_cash": 20_000},
        {"candle_size": 100},
        {"end_date": "2024-01-30"},
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_another_request_is_a_miss(runtime, done, changes):
    assert ask(runtime, spec(**changes)) is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_another_default_is_a_miss(runtime, done):
    sma = STRATEGIES["sma_cross"]
    other = replace(sma, params=(replace(sma.params[0], default=12), *sma.params[1:]))
    raw = {key: value for key, value in spec().items() if key != "params"}
    assert ask(runtime, spec_to_dict(parse_spec(raw))) == done
    assert ask(runtime, spec_to_dict(parse_spec(raw, {"sma_cross": other}))) is None


@pytest.mark.parametrize("edited", ["kernels/step.py", "kernels/averages.py", "strategies/sma_cross.py", "metrics.py"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_other_source_is_a_miss(runtime, done, edited, tmp_path, monkeypatch):
    original = sources.package_folder
    copy = tmp_path / "engine"
    shutil.copytree(original("engine"), copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sources, "package_folder", lambda name: copy if name == "engine" else original(name))
    assert ask(runtime) == done
    with (copy / edited).open("a") as file:
        file.write("\n# another rule\n")
    assert ask(runtime) is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_another_strategys_source_changes_nothing(runtime, done, tmp_path, monkeypatch):
    original = sources.package_folder
    copy = tmp_path / "engine"
    shutil.copytree(original("engine"), copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sources, "package_folder", lambda name: copy if name == "engine" else original(name))
    (copy / "strategies" / "macd_cross.py").write_text("# gone")
    assert ask(runtime) == done


def test_an_own_strategy_and_what_it_imports(runtime, folder):
    own = {**spec(), "strategy": "own", "params": {}}
    task_id = queue_own(runtime, own)
    assert ask(runtime, own, None) == task_id
    first = row(runtime, task_id).final_equity
    (folder / "_shared.py").write_text(SHARED.replace("> 0", "< 0"))
    os.utime(folder / "_shared.py", ns=(1, 1))
    runtime.catalog()
    assert ask(runtime, own, None) is None
    again = queue_own(runtime, own)
    assert row(runtime, again).final_equity != first  # the edited import is what ran
    assert ask(runtime, own, None) == again


def test_no_bars_or_no_such_strategy_is_a_miss(runtime, done):
    assert ask(runtime, spec(symbols=["USD-DOGE"])) is None
    assert ask(runtime, {**spec(), "strategy": "gone"}, None) is None


def queue_own(runtime, own):
    from storage_core import backtests

    with session_scope(runtime.engine) as session:
        task_id = backtests.create(session, spec=own, owner_id=None, source="web").task_id
    run_backtest.run(runtime, task_id)
    assert row(runtime, task_id).status == "completed"
    return task_id


def test_asking_loads_no_numba():
    from tests.conventions.test_layers import modules_after

    loaded = modules_after("import storage_core.already_run, storage_core.verification, workers.dead_letters")
    assert "storage_core.sources" in loaded
    assert not loaded & {"numba", "pandas", "pyarrow", "engine.simulation", "workers.actors"}
