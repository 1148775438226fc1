"""The life of a job in the database: who owns it, what is kept, how it ends."""

import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy.exc import IntegrityError

from storage_core import jobs
from storage_core.accounts import create_user
from storage_core.db import session_scope, utc_now
from storage_core.errors import JobEnded, JobLost, JobNotFound
from tests.storage_core.at_once import together


def make(engine, **options):
    with session_scope(engine) as session:
        return jobs.create(session, **{"kind": "fetch_bars", "args": {"symbol": "KRW-BTC"}, **options}).job_id


def claim(engine, **options):
    with session_scope(engine) as session:
        return jobs.claim_next(session, worker="one", **options)


def row(engine, job_id):
    with session_scope(engine) as session:
        return jobs.get(session, job_id)


def test_a_job_from_queued_to_completed(engine):
    job_id = make(engine)
    taken = claim(engine)
    assert (taken.job_id, taken.attempt, taken.args, taken.state) == (job_id, 1, {"symbol": "KRW-BTC"}, {})
    with session_scope(engine) as session:
        jobs.report(session, taken, progress=0.5, phase="page 3 of 6")
        jobs.keep(session, taken, {"reached": 7})
    running = row(engine, job_id)
    assert (running.status, running.worker, running.progress) == ("running", "one", 0.5)
    assert (running.phase, running.state) == ("page 3 of 6", {"reached": 7})
    with session_scope(engine) as session:
        jobs.finish(session, taken, {"rows": 12})
    ended = row(engine, job_id)
    assert (ended.status, ended.progress, ended.outcome, ended.phase) == ("completed", 1.0, {"rows": 12}, "")


def test_of_many_who_ask_at_once_for_what_should_be_done_alone_one_gets_it(engine):
    with session_scope(engine) as session:
        owner = create_user(session, name="kim").id
    made = []

    def ask():
        with session_scope(engine) as session:
            made.append(jobs.create_alone(session, kind="backup", args={}, owner_id=owner, beside=["backup", "verify"]))

    together(*[ask] * 4)
    (first,) = filter(None, made)
    assert len(made) == 4
    with session_scope(engine) as session:
        jobs.cancel(session, first.job_id)
    ask()
    assert made[-1] is not None


def test_the_longest_waiting_is_taken_first_and_only_of_the_kinds_asked_for(engine):
    now = utc_now()
    late, early, other = (
        make(engine, not_before=now - timedelta(seconds=1)),
        make(engine, not_before=now - timedelta(seconds=9)),
        make(engine, kind="backup", not_before=now - timedelta(seconds=99)),
    )
    with session_scope(engine) as session:
        assert jobs.due(session, kinds=["fetch_bars"], limit=9) == [early, late]
    assert [claim(engine, kinds=["fetch_bars"]).job_id for _ in range(2)] == [early, late]
    assert claim(engine, kinds=["fetch_bars"]) is None
    assert claim(engine).job_id == other


def test_nobody_takes_a_job_before_its_time(engine):
    now = utc_now()
    make(engine, not_before=now + timedelta(minutes=5))
    assert claim(engine, now=now) is None
    assert claim(engine, now=now + timedelta(minutes=6)).attempt == 1


def test_two_workers_take_two_jobs(engine):
    made = {make(engine) for _ in range(6)}
    taken = []

    def work():
        while (got := claim(engine)) is not None:
            taken.append(got.job_id)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while (rest := claim(engine)) is not None:  # one that looked at the moment of another's claim walked away
        taken.append(rest.job_id)
    assert set(taken) == made
    assert len(taken) == 6


def test_what_was_kept_is_what_the_next_attempt_gets(engine):
    job_id = make(engine)
    first = claim(engine)
    with session_scope(engine) as session:
        jobs.keep(session, first, {"reached": 3})
        jobs.release(session, first, code="exchange_busy", message="429", delay=timedelta(seconds=8))
    waiting = row(engine, job_id)
    assert (waiting.status, waiting.error_code, waiting.error_message) == ("queued", "exchange_busy", "429")
    assert claim(engine) is None
    second = claim(engine, now=utc_now() + timedelta(seconds=9))
    assert (second.attempt, second.tries, second.state) == (2, 2, {"reached": 3})


def test_an_excused_attempt_does_not_count(engine):
    make(engine)
    for attempt in range(1, 6):
        taken = claim(engine)
        assert (taken.attempt, taken.tries) == (attempt, 1)
        with session_scope(engine) as session:
            jobs.release(session, taken, code="worker_stopped", message="stop", excused=True)


@pytest.mark.parametrize("write", ["heartbeat", "look"])
def test_an_old_attempt_hears_that_it_is_lost(engine, write):
    make(engine)
    old = claim(engine)
    with session_scope(engine) as session:
        jobs.requeue_lost(session, now=utc_now() + timedelta(minutes=1))
    claim(engine, now=utc_now() + timedelta(minutes=2))
    with session_scope(engine) as session:
        assert getattr(jobs, write)(session, old) == "lost"


def test_an_old_attempt_writes_nothing(engine):
    job_id = make(engine)
    old = claim(engine)
    later = utc_now() + timedelta(minutes=1)
    with session_scope(engine) as session:
        assert jobs.requeue_lost(session, now=later) == [job_id]
    claim(engine, now=later)
    writes = [
        lambda session: jobs.report(session, old, progress=0.9, phase="late"),
        lambda session: jobs.keep(session, old, {"reached": 99}),
        lambda session: jobs.finish(session, old, {}),
        lambda session: jobs.fail(session, old, code="x", message="x"),
        lambda session: jobs.release(session, old, code="x", message="x"),
        lambda session: jobs.mark_cancelled(session, old),
    ]
    for write in writes:
        with pytest.raises(JobLost), session_scope(engine) as session:
            write(session)
    assert (row(engine, job_id).status, row(engine, job_id).attempt, row(engine, job_id).state) == ("running", 2, {})


def test_a_silent_worker_has_three_attempts(engine):
    job_id = make(engine)
    now = utc_now()
    for attempt in (1, 2, 3):
        assert claim(engine, now=now).attempt == attempt
        now += timedelta(minutes=1)
        with session_scope(engine) as session:
            jobs.requeue_lost(session, now=now)
    failed = row(engine, job_id)
    assert (failed.status, failed.error_code) == ("failed", "worker_lost")
    assert "3 attempts" in failed.error_message


def test_cancel_in_every_state(engine):
    queued = make(engine)
    with session_scope(engine) as session:
        assert jobs.cancel(session, queued).status == "cancelled"
    running = make(engine)
    taken = claim(engine)
    with session_scope(engine) as session:
        assert jobs.cancel(session, running).status == "running"
        assert jobs.heartbeat(session, taken) == jobs.look(session, taken) == "cancel"
        jobs.mark_cancelled(session, taken)
    assert row(engine, running).status == "cancelled"
    for ended in (queued, running):
        with pytest.raises(JobEnded, match="already cancelled"), session_scope(engine) as session:
            jobs.cancel(session, ended)
    with pytest.raises(JobNotFound), session_scope(engine) as session:
        jobs.cancel(session, uuid4())


@pytest.mark.parametrize("how", ["release", "silence"])
def test_a_job_that_should_stop_is_not_queued_again(engine, how):
    job_id = make(engine)
    taken = claim(engine)
    with session_scope(engine) as session:
        jobs.cancel(session, job_id)
        if how == "release":
            jobs.release(session, taken, code="x", message="x")
        else:
            assert jobs.requeue_lost(session, now=utc_now() + timedelta(minutes=1)) == []
    assert row(engine, job_id).status == "cancelled"


def test_two_clocks_that_want_one_job_make_one(engine):
    job_id = uuid4()
    make(engine, job_id=job_id)
    with pytest.raises(IntegrityError):
        make(engine, job_id=job_id)
    with session_scope(engine) as session:
        assert [job.job_id for job in jobs.listed(session, kinds=["fetch_bars"])] == [job_id]


def test_the_list_has_the_newest_first(engine):
    now = utc_now()
    made = [make(engine, now=now + timedelta(seconds=second)) for second in range(3)]
    make(engine, kind="backup", now=now)
    with session_scope(engine) as session:
        jobs.cancel(session, made[0])
        assert [job.job_id for job in jobs.listed(session, kinds=["fetch_bars"], limit=2)] == [made[2], made[1]]
        assert [job.job_id for job in jobs.listed(session, statuses=["cancelled"])] == [made[0]]
        assert len(jobs.listed(session)) == 4
