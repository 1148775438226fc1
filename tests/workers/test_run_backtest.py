"""A backtest from claim to commit: real engine, real databases, bars that are made here."""

import threading
from datetime import timedelta

import pytest

from storage_core import backtests, result_store
from storage_core.bar_store import BarStore
from storage_core.db import session_scope, utc_now
from storage_core.schemas import SCHEMAS
from tests.workers.examples import kinds, queue, row, wave
from workers import run_backtest
from workers.runtime import Runtime


@pytest.fixture
def runtime(settings):
    store = BarStore(settings.bars_dir)
    store.merge("USD-BTC", "1h", wave(31 * 24))
    store.merge("USD-ETH", "1h", wave(20 * 24, seed=1))
    runtime = Runtime(settings)
    yield runtime
    runtime.close()


def test_a_backtest_is_computed_and_stored(runtime):
    task_id = queue(runtime)
    run_backtest.run(runtime, task_id)
    done = row(runtime, task_id)
    assert done.status == "completed"
    assert done.attempt == 1
    assert kinds(runtime, task_id) == ["submitted", "claimed", "completed"]
    signals = result_store.read_table(runtime.settings, done, "symbol_signals")
    curve = result_store.read_table(runtime.settings, done, "performance_curve")
    assert signals.num_rows == done.trade_count == done.record_count > 5
    assert curve.num_rows == 31 * 24
    closing = curve.column("equity")[-1].as_py()
    assert closing == done.final_equity
    assert sum(signals.column("pnl").to_pylist()) == pytest.approx(closing - 10_000, rel=1e-9)
    assert done.total_return_pct == pytest.approx((closing / 10_000 - 1) * 100, rel=1e-12)
    assert done.metadata_["lookahead"]["ok"] is True
    quality = done.metadata_["data_quality"]
    assert (quality["missing_bars"], quality["zero_volume_bars"], quality["jump_count"]) == (0, 0, 0)
    assert done.metadata_["bars"] == 744
    assert done.data_fingerprint


def test_the_engine_fills_every_column_of_the_stored_schema(runtime):
    task_id = queue(runtime)
    run_backtest.run(runtime, task_id)
    for name, schema in SCHEMAS.items():
        table = result_store.read_table(runtime.settings, row(runtime, task_id), name)
        assert table.schema.names == schema.names
        empty = [column for column in table.schema.names if table.column(column).null_count == table.num_rows]
        assert empty == [], name


def test_two_days_of_hours_are_48_bars_in_the_zone_of_the_spec(runtime):
    for zone, bars in (
        ("UTC", 48),
        ("Asia/Seoul", 39),
    ):  # in Seoul the first of January began nine hours before the data
        task_id = queue(runtime, start_date="2024-01-01", end_date="2024-01-02", timezone=zone)
        run_backtest.run(runtime, task_id)
        assert row(runtime, task_id).metadata_["bars"] == bars, zone


def test_candle_size_keeps_the_last_bars_of_the_range(runtime):
    task_id = queue(runtime, candle_size=100)
    run_backtest.run(runtime, task_id)
    data = row(runtime, task_id).metadata_["data"]["USD-BTC"]
    assert (data["rows"], data["last"]) == (100, "2024-01-31T23:00:00+00:00")


def test_symbols_add_up_to_the_portfolio(runtime):
    task_id = queue(runtime, symbols=["USD-BTC", "USD-ETH"])
    run_backtest.run(runtime, task_id)
    done = row(runtime, task_id)
    summary = result_store.read_table(runtime.settings, done, "symbol_summary").to_pylist()
    assert [line["symbol"] for line in summary] == ["USD-BTC", "USD-ETH"]
    assert done.final_equity == pytest.approx(20_000 + sum(line["total_pnl"] for line in summary), rel=1e-12)
    assert done.metadata_["bars"] == 31 * 24 + 20 * 24


def test_no_bars_fails_at_once_with_what_is_available(runtime):
    task_id = queue(runtime, symbols=["USD-DOGE"])
    run_backtest.run(runtime, task_id)
    failed = row(runtime, task_id)
    assert (failed.status, failed.attempt, failed.error_code) == ("failed", 1, "no_bars")
    assert "USD-DOGE" in failed.error_message
    assert "USD-BTC" in failed.error_message
    assert failed.parquet_path is None


def test_a_message_that_comes_twice_runs_once(runtime):
    task_id = queue(runtime)
    run_backtest.run(runtime, task_id)
    first = row(runtime, task_id)
    run_backtest.run(runtime, task_id)
    assert row(runtime, task_id).updated_at == first.updated_at
    assert kinds(runtime, task_id).count("claimed") == 1


def test_two_workers_with_the_same_message_run_it_once(runtime):
    task_id = queue(runtime)
    threads = [threading.Thread(target=run_backtest.run, args=(runtime, task_id)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert row(runtime, task_id).status == "completed"
    assert kinds(runtime, task_id) == ["submitted", "claimed", "completed"]


def test_a_disk_that_fills_up_is_tried_again_and_then_fails(runtime):
    task_id = queue(runtime)
    runtime.settings.results_dir.parent.mkdir(exist_ok=True)
    runtime.settings.results_dir.write_text("a file where the folder should be")
    for attempt in (1, 2):
        run_backtest.run(runtime, task_id)
        assert (row(runtime, task_id).status, row(runtime, task_id).attempt) == ("queued", attempt)
        assert row(runtime, task_id).queued_at > utc_now() + timedelta(seconds=attempt)  # the backoff grows
    run_backtest.run(runtime, task_id)
    failed = row(runtime, task_id)
    assert (failed.status, failed.attempt, failed.error_code) == ("failed", 3, "disk_problem")
    runtime.settings.results_dir.unlink()


def test_a_stopping_worker_hands_its_work_back_and_the_attempt_does_not_count(runtime):
    task_id = queue(runtime)
    runtime.stopping.set()
    with session_scope(runtime.engine) as session:
        claim = backtests.claim(session, task_id, worker="test")
    run_backtest._attempt(runtime, claim)
    handed_back = row(runtime, task_id)
    assert (handed_back.status, handed_back.attempt, handed_back.excused) == ("queued", 1, 1)
    runtime.stopping.clear()
    run_backtest.run(runtime, task_id)
    done = row(runtime, task_id)
    assert (done.status, done.attempt) == ("completed", 2)


def test_a_successor_owns_the_row_when_the_first_worker_comes_back(runtime, monkeypatch):
    """The first attempt sleeps so long that its backtest is taken back and finished by another worker."""
    task_id = queue(runtime)
    original = run_backtest.compute
    successor = threading.Thread(target=run_backtest.run, args=(runtime, task_id))

    def slow_compute(*args):
        outcome = original(*args)
        with session_scope(runtime.engine) as session:
            assert backtests.requeue_lost(session, now=utc_now() + timedelta(minutes=1)) == [task_id]
        monkeypatch.undo()
        successor.start()
        successor.join()  # the first attempt may be interrupted here: it has been told that it lost
        return outcome

    monkeypatch.setattr(run_backtest, "compute", slow_compute)
    run_backtest.run(runtime, task_id)
    successor.join()
    done = row(runtime, task_id)
    assert (done.status, done.attempt) == ("completed", 2)
    assert kinds(runtime, task_id) == ["submitted", "claimed", "requeued", "claimed", "completed"]
