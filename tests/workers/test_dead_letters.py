"""Retries by the row, and what lies there after the last one."""

from uuid import uuid4

import pytest

from storage_core.bar_store import BarStore
from tests.workers.examples import kinds, queue, row, wave
from workers import run_backtest
from workers.dead_letters import discard_dead, list_dead, retry_dead
from workers.failures import backoff
from workers.queue import count_tickets, make_broker
from workers.runtime import Runtime


@pytest.fixture
def runtime(settings, broker_url):
    BarStore(settings.bars_dir).merge("USD-BTC", "1h", wave(31 * 24))
    runtime = Runtime(settings, make_broker(broker_url))
    yield runtime
    runtime.close()


@pytest.fixture
def dead(runtime):
    """A backtest whose three attempts failed on a folder that cannot be written."""
    task_id = queue(runtime)
    runtime.settings.results_dir.write_text("a file where the folder should be")
    for _ in range(3):
        run_backtest.run(runtime, task_id)
    runtime.settings.results_dir.unlink()
    return task_id


def test_the_dead_letter_says_what_when_where_and_why(runtime, dead):
    [letter] = list_dead(runtime.broker)
    assert (letter.task_id, letter.code, letter.attempt) == (dead, "disk_problem", 3)
    assert "cannot write" in letter.reason
    assert "DiskProblem" in letter.traceback
    assert letter.worker == runtime.worker_name
    assert abs((letter.at - row(runtime, dead).finished_at).total_seconds()) < 5


def test_each_attempt_but_the_last_left_one_delayed_ticket(runtime, dead):
    assert runtime.broker.client.llen("dramatiq:backtests.DQ") == 2
    assert count_tickets(runtime.broker) == 0


def test_another_chance_has_all_its_attempts_and_leaves_no_letter(runtime, dead):
    assert retry_dead(runtime.engine, runtime.broker, [dead], by="kim") == [dead]
    assert list_dead(runtime.broker) == []
    assert count_tickets(runtime.broker) == 1
    assert retry_dead(runtime.engine, runtime.broker, [dead], by="kim") == []
    assert run_backtest.run_next(runtime)
    done = row(runtime, dead)
    assert (done.status, done.attempt, done.error_code, done.error_message) == ("completed", 4, None, None)
    assert kinds(runtime, dead)[-3:] == ["retried", "claimed", "completed"]


def test_discarded_it_stays_failed(runtime, dead):
    assert discard_dead(runtime.engine, runtime.broker, [dead], by="kim") == [dead]
    assert discard_dead(runtime.engine, runtime.broker, [dead], by="kim") == []
    assert list_dead(runtime.broker) == []
    assert row(runtime, dead).status == "failed"
    assert kinds(runtime, dead)[-1] == "discarded"


def test_a_failed_backtest_is_given_another_chance_when_the_broker_forgot_it(runtime, dead):
    runtime.broker.client.flushall()
    assert retry_dead(runtime.engine, runtime.broker, [dead], by="kim") == [dead]
    assert row(runtime, dead).status == "queued"
    assert retry_dead(runtime.engine, runtime.broker, [uuid4()], by="kim") == []


def test_a_permanent_error_is_not_tried_again_and_no_dead_letter(runtime):
    task_id = queue(runtime, symbols=["USD-DOGE"])
    assert run_backtest.run_next(runtime)
    assert (row(runtime, task_id).status, row(runtime, task_id).attempt) == ("failed", 1)
    assert list_dead(runtime.broker) == []


def test_the_backoff_grows_and_ends():
    assert 1.5 <= backoff(1) <= 2.5
    assert 6 <= backoff(2) <= 10
    assert 45 <= backoff(9) <= 75
