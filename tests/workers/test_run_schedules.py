"""Schedules: a turn makes one backtest, on new bars only, whoever looks at the clock and however often."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from storage_core import jobs, schedules
from storage_core.bar_store import BarStore
from storage_core.db import session_scope
from storage_core.models import Backtest, Job, Schedule, User
from storage_core.names import BadName
from storage_core.schedules import ScheduleError, ScheduleNotFound
from tests.workers.examples import spec, wave
from workers.jobs import run_next_job
from workers.queue import make_broker
from workers.run_backtest import run_next
from workers.run_schedules import take_turns
from workers.runtime import Runtime

NOW = datetime(2024, 2, 1, 12, tzinfo=UTC)  # a Thursday


@pytest.fixture
def runtime(settings, broker_url):
    runtime = Runtime(settings, make_broker(broker_url))
    BarStore(settings.bars_dir).merge("USD-BTC", "1h", wave(31 * 24))
    yield runtime
    runtime.close()


@pytest.fixture
def owner(runtime):
    with session_scope(runtime.engine) as session:
        user = User(name="ada", password_hash="-")
        session.add(user)
        session.flush()
        return user.id


def make(runtime, owner, **options):
    given = {"name": "each day", "spec": spec(), "every": "day", "now": NOW, **options}
    with session_scope(runtime.engine) as session:
        return schedules.create(session, owner_id=owner, **given)


def read(runtime, schedule):
    with session_scope(runtime.engine) as session:
        return session.get(Schedule, schedule.id)


def turn(runtime, days=1):
    """A day later: the clock looks, the job runs, the backtest too when there is one."""
    made = take_turns(runtime.engine, now=NOW + timedelta(days=days))
    ran = run_next_job(runtime)
    run_next(runtime)
    return made, ran


def runs(runtime, schedule):
    with session_scope(runtime.engine) as session:
        return schedules.results(session, schedule.id)


def test_a_turn_makes_one_backtest_linked_to_its_schedule(runtime, owner):
    schedule = make(runtime, owner)
    assert take_turns(runtime.engine, now=NOW) == 0
    assert turn(runtime) == (1, True)
    (made,) = runs(runtime, schedule)
    assert (made.status, made.source, made.owner_id, made.schedule_id) == ("completed", "schedule", owner, schedule.id)
    after = read(runtime, schedule)
    assert (after.last_task_id, after.last_error) == (made.task_id, None)
    assert after.next_run_at == datetime(2024, 2, 3, 1, tzinfo=UTC)
    assert take_turns(runtime.engine, now=NOW + timedelta(days=1)) == 0


def test_without_new_bars_nothing_runs_and_the_schedule_says_so(runtime, owner):
    schedule = make(runtime, owner)
    turn(runtime)
    turn(runtime, days=2)
    assert len(runs(runtime, schedule)) == 1
    assert "no bars after 2024-01-31 23:00 UTC" in read(runtime, schedule).last_error
    BarStore(runtime.settings.bars_dir).merge("USD-BTC", "1h", wave(33 * 24), wins="new")
    turn(runtime, days=3)
    newest, first = runs(runtime, schedule)
    assert [made.metadata_["bars"] for made in (newest, first)] == [33 * 24, 31 * 24]
    assert read(runtime, schedule).last_error is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_missed_turns_are_made_up_for_by_one(runtime, owner):
    schedule = make(runtime, owner)
    assert turn(runtime, days=40) == (1, True)
    assert turn(runtime, days=40) == (0, False)
    assert len(runs(runtime, schedule)) == 1


def test_two_clocks_make_one_job(runtime, owner):
    for number in range(5):
        make(runtime, owner, name=f"number {number}")
    threads = [
        threading.Thread(target=take_turns, args=(runtime.engine,), kwargs={"now": NOW + timedelta(days=1)})
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with session_scope(runtime.engine) as session:
        assert session.query(Job).count() == 5


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_job_that_runs_twice_submits_once(runtime, owner):
    schedule = make(runtime, owner)
    take_turns(runtime.engine, now=NOW + timedelta(days=1))
    run_next_job(runtime)
    with session_scope(runtime.engine) as session:
        session.query(Job).update({"status": "queued", "finished_at": None})
    run_next_job(runtime)
    assert len(runs(runtime, schedule)) == 1
    with session_scope(runtime.engine) as session:
        (job,) = jobs.listed(session)
        assert job.outcome == {"task_id": str(runs(runtime, schedule)[0].task_id)}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_who_may_not_run_backtests_any_more_has_none_run(runtime, owner):
    schedule = make(runtime, owner)
    with session_scope(runtime.engine) as session:
        session.get(User, owner).role = "viewer"
    turn(runtime)
    assert runs(runtime, schedule) == []
    assert "may not run" in read(runtime, schedule).last_error


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_symbols_without_bars_are_named(runtime, owner):
    schedule = make(runtime, owner, spec=spec(symbols=["USD-BTC", "KRW-XRP"]))
    turn(runtime)
    assert "no 1h bars of KRW-XRP" in read(runtime, schedule).last_error


def test_resting_and_deleted_schedules_do_not_run_and_results_stay(runtime, owner):
    schedule, other = make(runtime, owner), make(runtime, owner, name="other")
    turn(runtime)
    with session_scope(runtime.engine) as session:
        schedules.set_active(session, session.get(Schedule, other.id), False)
        schedules.delete(session, session.get(Schedule, schedule.id))
    assert take_turns(runtime.engine, now=NOW + timedelta(days=9)) == 0
    with session_scope(runtime.engine) as session:
        assert {made.schedule_id for made in session.query(Backtest)} <= {None, other.id}
        with pytest.raises(ScheduleNotFound):
            schedules.get(session, schedule.id, owner_id=None)
        with pytest.raises(ScheduleNotFound):
            schedules.get(session, other.id, owner_id=owner + 1)
        schedules.set_active(session, session.get(Schedule, other.id), True, now=NOW)
        assert session.get(Schedule, other.id).next_run_at == datetime(2024, 2, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"every": "hour"}, ScheduleError),
        ({"window_days": 0}, ScheduleError),
        ({"window_days": 40_000}, ScheduleError),
        ({"name": " "}, BadName),
    ],
)
def test_what_cannot_be_a_schedule_is_refused(runtime, owner, wrong, error):
    with pytest.raises(error, match="allowed"):
        make(runtime, owner, **wrong)


@pytest.mark.parametrize(
    ("every", "zone", "now", "wanted"),
    [
        ("day", "UTC", NOW, datetime(2024, 2, 2, 1, tzinfo=UTC)),
        ("week", "UTC", NOW, datetime(2024, 2, 5, 1, tzinfo=UTC)),
        ("day", "Asia/Seoul", NOW, datetime(2024, 2, 1, 16, tzinfo=UTC)),
        ("day", "Europe/Berlin", datetime(2024, 3, 30, 12, tzinfo=UTC), datetime(2024, 3, 31, 0, tzinfo=UTC)),
        ("week", "UTC", datetime(2024, 2, 5, 0, tzinfo=UTC), datetime(2024, 2, 12, 1, tzinfo=UTC)),
    ],
)
def test_it_runs_at_one_in_the_morning_of_its_own_time_zone(every, zone, now, wanted):
    assert schedules.next_run(now, every, zone) == wanted


@pytest.mark.parametrize(
    ("window_days", "wanted"),
    [(None, ("2024-01-01", "2024-01-31")), (7, ("2024-01-25", "2024-01-31")), (1, ("2024-01-31", "2024-01-31"))],
)
def test_the_period_grows_or_moves(window_days, wanted):
    made = schedules.next_spec(Schedule(spec=spec(), window_days=window_days), now=NOW)
    assert (made["start_date"], made["end_date"]) == wanted
