"""Jobs as a worker runs them: outcome, retries, stops, and the clock that heals what is left."""

import threading
from datetime import timedelta

import pytest
from structlog.contextvars import bound_contextvars

from storage_core import jobs
from storage_core.db import session_scope, utc_now
from storage_core.logs import current_request_id
from tests.services import wait_for
from tests.workers import job_functions
from workers.errors import BrokerDown
from workers.job_tickets import TOP_UP_KEY, tick_jobs
from workers.jobs import KINDS, load, run_next_job
from workers.queue import QUEUE_IO, count_tickets, make_broker, send_job
from workers.runtime import Runtime

MINUTE = timedelta(minutes=1)
HERE = {
    name: f"tests.workers.job_functions:{name}"
    for name in ("answer", "break_once", "always_break", "refuse", "run_until_stopped", "wait_and_finish", "who_asked")
}


@pytest.fixture
def runtime(settings, broker_url):
    runtime = Runtime(settings, make_broker(broker_url))
    assert runtime.engine is not None
    job_functions.entered.clear()
    job_functions.may_go_on.clear()
    yield runtime
    runtime.close()


def make(runtime, kind, **options):
    with session_scope(runtime.engine) as session:
        return jobs.create(session, kind=kind, args={"n": 1}, **options).job_id


def row(runtime, job_id):
    with session_scope(runtime.engine) as session:
        return jobs.get(session, job_id)


def hurry(runtime, job_id):
    """The backoff is over."""
    with session_scope(runtime.engine) as session:
        jobs.get(session, job_id).not_before = utc_now()


def running(runtime):
    thread = threading.Thread(target=run_next_job, args=(runtime, HERE))
    thread.start()
    assert job_functions.entered.wait(60)
    return thread


def test_the_functions_of_all_kinds_are_there():
    assert all(callable(load(path)) for path in KINDS.values())


def test_the_outcome_is_stored(runtime):
    job_id = make(runtime, "answer")
    assert run_next_job(runtime, HERE)
    ended = row(runtime, job_id)
    assert (ended.status, ended.outcome) == ("completed", {"asked": {"n": 1}, "before": {}})
    assert not run_next_job(runtime, HERE)


def test_what_a_request_asks_for_names_it_in_every_attempt(runtime):
    with bound_contextvars(request_id="click-on-fetch-1"):
        job_id = make(runtime, "who_asked")
    others = make(runtime, "answer")
    run_next_job(runtime, HERE)
    run_next_job(runtime, HERE)
    assert row(runtime, others).outcome["asked"] == {"n": 1}
    hurry(runtime, job_id)
    run_next_job(runtime, HERE)
    assert row(runtime, job_id).outcome == {"asked_by": ["click-on-fetch-1", "click-on-fetch-1"]}
    assert current_request_id() == ""


def test_an_error_is_tried_again_from_what_was_kept(runtime):
    job_id = make(runtime, "break_once")
    run_next_job(runtime, HERE)
    waiting = row(runtime, job_id)
    assert (waiting.status, waiting.error_code) == ("queued", "internal_error")
    assert waiting.not_before > utc_now()
    hurry(runtime, job_id)
    run_next_job(runtime, HERE)
    ended = row(runtime, job_id)
    assert (ended.status, ended.outcome, ended.error_code) == ("completed", {"before": {"reached": 1}}, None)


def test_three_attempts_and_then_it_has_failed(runtime):
    job_id = make(runtime, "always_break")
    for _ in range(3):
        hurry(runtime, job_id)
        run_next_job(runtime, HERE)
    assert (row(runtime, job_id).status, row(runtime, job_id).attempt) == ("failed", 3)
    assert "the network went away" in row(runtime, job_id).error_message


def test_what_can_never_work_is_not_tried_again(runtime):
    job_id = make(runtime, "refuse")
    run_next_job(runtime, HERE)
    assert (row(runtime, job_id).status, row(runtime, job_id).error_code) == ("failed", "no_bars")


def test_cancel_stops_it_at_its_next_look(runtime):
    job_id = make(runtime, "run_until_stopped")
    thread = running(runtime)
    with session_scope(runtime.engine) as session:
        jobs.cancel(session, job_id)
    thread.join(60)
    assert row(runtime, job_id).status == "cancelled"


def test_a_worker_that_stops_hands_back_and_the_attempt_does_not_count(runtime):
    job_id = make(runtime, "run_until_stopped")
    thread = running(runtime)
    runtime.stopping.set()
    thread.join(60)
    handed_back = row(runtime, job_id)
    assert (handed_back.status, handed_back.excused, handed_back.state) == ("queued", 1, {"reached": 5})
    assert count_tickets(runtime.broker, QUEUE_IO) == 1


def test_an_attempt_that_was_taken_for_dead_writes_no_outcome(runtime):
    job_id = make(runtime, "wait_and_finish")
    thread = running(runtime)
    with session_scope(runtime.engine) as session:
        jobs.requeue_lost(session, now=utc_now() + MINUTE)
    job_functions.may_go_on.set()
    thread.join(60)
    assert row(runtime, job_id).status == "queued"


def test_progress_reaches_the_row_while_it_runs(runtime):
    job_id = make(runtime, "run_until_stopped")
    thread = running(runtime)
    started = row(runtime, job_id).heartbeat_at
    wait_for(lambda: row(runtime, job_id).heartbeat_at > started, what="a heartbeat")
    runtime.stopping.set()
    thread.join(60)
    assert not thread.is_alive()


def beat(runtime, silent_for=MINUTE):
    return tick_jobs(runtime.engine, runtime.broker, silent_for=silent_for, kinds=HERE)


def test_the_clock_sends_the_tickets_that_are_missing(runtime):
    made = [make(runtime, "answer") for _ in range(3)]
    make(runtime, "answer", not_before=utc_now() + MINUTE)
    make(runtime, "of_a_later_release")
    send_job(runtime.broker, made[0])
    assert beat(runtime) == 2
    assert count_tickets(runtime.broker, QUEUE_IO) == 3
    runtime.broker.client.delete(TOP_UP_KEY)
    assert beat(runtime) == 0


def test_the_clock_takes_back_what_a_silent_worker_had(runtime):
    job_id = make(runtime, "answer")
    with session_scope(runtime.engine) as session:
        jobs.claim_next(session, worker="gone", now=utc_now() - MINUTE)
    assert beat(runtime, timedelta(seconds=15)) == 1
    assert row(runtime, job_id).status == "queued"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_queue_that_is_away_is_said_and_nothing_is_lost(settings, tmp_path):
    runtime = Runtime(settings, make_broker(f"unix://{tmp_path}/nobody.sock"))
    job_id = make(runtime, "answer")
    with pytest.raises(BrokerDown):
        beat(runtime)
    assert row(runtime, job_id).status == "queued"
    runtime.close()
