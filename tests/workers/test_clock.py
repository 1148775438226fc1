"""The clock: silent workers, tickets that are gone, a second clock."""

import threading
from datetime import timedelta

import pytest

from storage_core import backtests
from storage_core.db import session_scope, utc_now
from tests.workers.examples import kinds, queue, row
from workers.clock import TOP_UP_KEY, Part, tick
from workers.dead_letters import list_dead
from workers.errors import BrokerDown
from workers.queue import count_tickets, make_broker, send_backtest
from workers.runtime import Runtime


@pytest.fixture
def runtime(settings, broker_url):
    runtime = Runtime(settings, make_broker(broker_url))
    yield runtime
    runtime.close()


def beat(runtime, **options):
    runtime.broker.client.delete(TOP_UP_KEY)  # as if the last tick had been a while ago
    return tick(runtime.engine, runtime.broker, **options)


def test_a_broker_that_lost_its_data_gets_a_ticket_for_each_queued_backtest(runtime):
    for _ in range(5):
        send_backtest(runtime.broker, queue(runtime))
    assert beat(runtime) == 0
    runtime.broker.client.flushall()
    assert beat(runtime) == 5
    assert count_tickets(runtime.broker) == 5


def test_a_broker_that_lost_a_part_gets_that_part(runtime):
    for _ in range(5):
        send_backtest(runtime.broker, queue(runtime))
    runtime.broker.client.lpop("dramatiq:backtests")
    assert beat(runtime) == 1


def test_a_long_queue_is_not_flooded_by_many_ticks(runtime):
    for _ in range(30):
        queue(runtime)
    sent = [beat(runtime) for _ in range(10)]
    assert (sent[0], sum(sent)) == (30, 30)


def test_two_clocks_fill_a_gap_once(runtime):
    for _ in range(20):
        queue(runtime)
    threads = [threading.Thread(target=tick, args=(runtime.engine, runtime.broker)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count_tickets(runtime.broker) == 20


def test_two_clocks_take_a_silent_run_back_once(runtime):
    made = [queue(runtime) for _ in range(10)]
    long_ago = utc_now() - timedelta(minutes=1)
    for task_id in made:
        with session_scope(runtime.engine) as session:
            backtests.claim(session, task_id, worker="test", now=long_ago)
    last = made[0]  # its third attempt: it fails, and is one dead letter
    with session_scope(runtime.engine) as session:
        backtests.get(session, last).attempt = 3
    start = threading.Barrier(2)

    def tick_with_the_other():
        start.wait()
        tick(runtime.engine, runtime.broker)

    threads = [threading.Thread(target=tick_with_the_other) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kinds(runtime, last) == ["submitted", "claimed", "failed"]
    assert [letter.task_id for letter in list_dead(runtime.broker)] == [last]
    assert [kinds(runtime, task_id) for task_id in made[1:]] == [["submitted", "claimed", "requeued"]] * 9


def test_what_waits_for_its_backoff_gets_no_ticket(runtime):
    task_id = queue(runtime)
    with session_scope(runtime.engine) as session:
        claim = backtests.claim(session, task_id, worker="test")
        backtests.release(session, claim, reason="busy", delay=timedelta(seconds=60))
    assert beat(runtime) == 0


def test_the_last_attempt_of_a_silent_worker_is_a_dead_letter(runtime):
    task_id = queue(runtime)
    for attempt in (1, 2, 3):
        with session_scope(runtime.engine) as session:
            long_ago = utc_now() - timedelta(minutes=1)
            assert backtests.claim(session, task_id, worker="test", now=long_ago).attempt == attempt
        beat(runtime)
    assert (row(runtime, task_id).status, row(runtime, task_id).error_code) == ("failed", "worker_lost")
    assert [(dead.task_id, dead.code, dead.attempt) for dead in list_dead(runtime.broker)] == [
        (task_id, "worker_lost", 3)
    ]
    assert kinds(runtime, task_id) == ["submitted", *["claimed", "requeued"] * 2, "claimed", "failed"]


def test_a_broker_that_is_away_is_said_and_nothing_is_lost(settings, tmp_path):
    runtime = Runtime(settings, make_broker(f"unix://{tmp_path}/nobody.sock"))
    task_id = queue(runtime)
    with pytest.raises(BrokerDown):
        tick(runtime.engine, runtime.broker)
    assert row(runtime, task_id).status == "queued"
    runtime.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_part_of_the_clock_that_breaks_ends_it_so_that_all_of_it_begins_again():
    stop = threading.Event()

    def housekeeping(rounds, stop):
        raise ZeroDivisionError(rounds)

    part = Part(housekeeping, 3, stop=stop)
    part.start()
    assert stop.wait(60)
    part.join()
