"""Cancel: at once while it waits, within moments while it runs, whatever the run is doing."""

import threading
import time

import pytest

from engine.spec import parse_spec, spec_to_dict
from engine.warm_up import warm_up
from storage_core import backtests, result_store
from storage_core.bar_store import BarStore
from storage_core.db import session_scope
from storage_core.errors import NotCancellable
from tests.services import wait_for
from tests.workers.examples import kinds, queue, row, wave
from workers import compute, run_backtest
from workers.runtime import Runtime

SLOW = """
from engine.signals import long_only
import numpy as np

def signals(bars, params):
    total = 0
    for _ in range(10**10):
        try:
            total += 1
        except Exception:
            pass
    return long_only(np.zeros(len(bars), bool), np.zeros(len(bars), bool))
"""
MILLION = 1_000_000


@pytest.fixture(scope="module")
def million(tmp_path_factory):
    """A million bars, a strategy that never ends, and the kernels loaded as in every worker before its first run."""
    warm_up()
    folder = tmp_path_factory.mktemp("million")
    store = BarStore(folder / "bars")
    bars = wave(MILLION)
    store.merge(
        "USD-BTC", "1m", {**bars, "timestamp": bars["timestamp"][0] + (bars["timestamp"] - bars["timestamp"][0]) // 60}
    )
    (folder / "strategies").mkdir()
    (folder / "strategies" / "slow.py").write_text(SLOW)
    return folder


@pytest.fixture
def runtime(settings, million, tmp_path):
    from dataclasses import replace

    (tmp_path / "bars").symlink_to(million / "bars")
    runtime = Runtime(replace(settings, strategies_dir=million / "strategies"))
    runtime.catalog()
    yield runtime
    runtime.close()


def queue_million(runtime, strategy="sma_cross", params=None):
    raw = {"symbols": ["USD-BTC"], "timeframe": "1m", "start_date": "2024-01-01", "end_date": "2026-12-31"}
    raw["sizing"] = {"kind": "fixed_notional", "value": 100}  # all-in on such waves outgrows what a number can hold
    spec = spec_to_dict(parse_spec({**raw, "strategy": strategy, "params": params or {}}, runtime.catalog()))
    with session_scope(runtime.engine) as session:
        return backtests.create(session, spec=spec, owner_id=None, source="web").task_id


def cancel(runtime, task_id, when):
    """Cancel it as soon as `when` is true: the row ends, and the worker, whose work would go on for ever, is free."""
    worker = threading.Thread(target=run_backtest.run, args=(runtime, task_id))
    worker.start()
    try:
        wait_for(when)
        with session_scope(runtime.engine) as session:
            backtests.cancel(session, task_id, by="kim")
        wait_for(lambda: row(runtime, task_id).status == "cancelled")
        worker.join(60)
        assert not worker.is_alive()
    finally:
        runtime.stopping.set()  # a strategy without end does not outlive a test that failed
        worker.join(60)


def check_nothing_left(runtime, task_id):
    assert row(runtime, task_id).status == "cancelled"
    assert kinds(runtime, task_id)[-2:] == ["cancel_requested", "cancelled"]
    assert row(runtime, task_id).parquet_path is None
    assert [path for path in runtime.settings.results_dir.rglob("*.parquet") if ".trash" not in path.parts] == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("watch-")]
    assert runtime.engine.pool.checkedout() == 0


@pytest.mark.parametrize("strategy", ["sma_cross", "volume_zone_breakout", "slow"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_run_over_a_million_bars(runtime, strategy, monkeypatch):
    original, reached = compute.simulate, threading.Event()

    def again_and_again(*args, **options):
        reached.set()
        while True:  # one simulation of a million bars may be over before the cancel is there
            original(*args, **options)

    monkeypatch.setattr(compute, "simulate", again_and_again)
    task_id = queue_million(runtime, strategy)
    cancel(runtime, task_id, reached.is_set)
    check_nothing_left(runtime, task_id)


@pytest.mark.parametrize("phase", ["read_bars", "check_lookahead", "summarise", "make_tables"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_in_every_phase_of_computing(runtime, phase, monkeypatch):
    original, reached = getattr(compute, phase), threading.Event()

    def slow(*args, **options):
        reached.set()
        while True:
            original(*args, **options)

    monkeypatch.setattr(compute, phase, slow)
    task_id = queue_million(runtime)
    cancel(runtime, task_id, reached.is_set)
    check_nothing_left(runtime, task_id)


@pytest.mark.parametrize("step", result_store.STEPS[:-2])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_in_every_step_of_saving(runtime, step, monkeypatch):
    """Nothing that was written stays in the way, and the row stays cancelled."""
    original, reached = result_store.save, threading.Event()

    def save(*args, on_step, **options):
        def wait_at(now):
            if now == step:
                reached.set()
                wait_for(lambda: row(runtime, task_id).status == "cancelled")
                time.sleep(0.02)
            on_step(now)

        original(*args, on_step=wait_at, **options)

    monkeypatch.setattr(run_backtest.result_store, "save", save)
    BarStore(runtime.settings.bars_dir).merge("USD-BTC", "1h", wave(31 * 24))
    task_id = queue(runtime)
    cancel(runtime, task_id, reached.is_set)
    check_nothing_left(runtime, task_id)


def test_what_has_ended_cannot_be_cancelled_and_what_waits_ends_at_once(runtime):
    task_id = queue(runtime)
    with session_scope(runtime.engine) as session:
        assert backtests.cancel(session, task_id, by="kim").status == "cancelled"
    assert not run_backtest.run_next(runtime)
    with session_scope(runtime.engine) as session, pytest.raises(NotCancellable):
        backtests.cancel(session, task_id, by="kim")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_time_limit_ends_even_a_strategy_that_never_looks(settings, million, tmp_path):
    from dataclasses import replace

    (tmp_path / "bars").symlink_to(million / "bars")
    runtime = Runtime(replace(settings, strategies_dir=million / "strategies", backtest_time_limit=1))
    task_id = queue_million(runtime, "slow")
    run_backtest.run(runtime, task_id)
    failed = row(runtime, task_id)
    assert (failed.status, failed.attempt, failed.error_code) == ("failed", 1, "time_limit")
    assert "1 seconds" in failed.error_message
    runtime.close()
