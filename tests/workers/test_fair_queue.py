"""Whose turn it is: between people, between short and long, however many wait."""

import threading
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, select, text

from storage_core import backtests, fair_queue
from storage_core.db import session_scope, utc_now
from storage_core.models import Backtest, User
from tests.workers.examples import spec

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG = {"timeframe": "1m", "start_date": "2020-01-01", "end_date": "2024-12-31"}


def people(engine, count):
    with session_scope(engine) as session:
        users = [User(name=f"p{number}", password_hash="x") for number in range(count)]
        session.add_all(users)
        session.flush()
        return [user.id for user in users]


def submit(engine, owner, count=1, *, now=NOON, **changes):
    with session_scope(engine) as session:
        made = [
            backtests.create(session, spec=spec(**changes), owner_id=owner, source="web", now=now) for _ in range(count)
        ]
        return [one.task_id for one in made]


def claim_all(engine, count, *, now=NOON + timedelta(minutes=1)):
    order = []
    for _ in range(count):
        with session_scope(engine) as session:
            claim = backtests.claim_next(session, worker="test", now=now)
        order.append(claim and claim.task_id)
    return order


def test_the_500th_of_one_does_not_starve_the_first_of_another(engine):
    busy, quiet = people(engine, 2)
    many = submit(engine, busy, 500)
    served = claim_all(engine, 10)
    assert served == many[:10]
    [one] = submit(engine, quiet, now=NOON + timedelta(seconds=30))
    assert one in claim_all(engine, 2)


def test_two_busy_people_take_turns(engine):
    one, other = people(engine, 2)
    ones = set(submit(engine, one, 20))
    submit(engine, other, 20, now=NOON + timedelta(seconds=1))
    served = claim_all(engine, 20)
    assert sum(task_id in ones for task_id in served) == 10


def test_a_short_one_does_not_wait_for_its_owners_long_ones(engine):
    [person] = people(engine, 1)
    submit(engine, person, 10, **LONG)
    claim_all(engine, 1)
    [short] = submit(engine, person, now=NOON + timedelta(seconds=1))
    assert short in claim_all(engine, 2)


def test_long_ones_are_not_starved_by_a_stream_of_short_ones(engine):
    one, other = people(engine, 2)
    [long] = submit(engine, one, **LONG)
    served = []
    for second in range(40):
        submit(engine, other, 2, now=NOON + timedelta(seconds=second))
        served += claim_all(engine, 1)
    assert long in served


def test_a_long_backtest_costs_more_turns():
    assert fair_queue.cost(spec()) == 1
    assert fair_queue.cost(spec(**LONG)) == 27
    assert fair_queue.cost(spec(**LONG, candle_size=1000)) == 1
    assert fair_queue.cost(spec(**LONG, symbols=["USD-BTC", "USD-ETH"])) == 53


def test_a_backoff_is_waited_for_and_delays_nobody_else(engine):
    [person] = people(engine, 1)
    first, second = submit(engine, person, 2)
    with session_scope(engine) as session:
        claim = backtests.claim_next(session, worker="test", now=NOON)
        assert claim.task_id == first
        backtests.release(session, claim, reason="busy", delay=timedelta(seconds=60), now=NOON)
    assert claim_all(engine, 2, now=NOON + timedelta(seconds=50)) == [second, None]
    assert claim_all(engine, 1, now=NOON + timedelta(seconds=61)) == [first]


def test_ten_thousand_queued_do_not_slow_a_claim(engine):
    [template] = submit(engine, None)
    with session_scope(engine) as session:
        first = backtests.get(session, template)
        values = {column.key: getattr(first, column.key) for column in Backtest.__mapper__.column_attrs}
        owners = people(engine, 20) if engine.dialect.name == "postgresql" else [None]
        fresh = [
            {**values, "task_id": fair_queue_id(number), "owner_id": owners[number % len(owners)], "turn": number}
            for number in range(10_000)
        ]
        session.execute(insert(Backtest), fresh)
    for _ in range(3):
        assert claim_all(engine, 1) != [None]
        submit(engine, None)
    with engine.connect() as connection:
        connection.execute(text("ANALYZE"))
        assert "ix_backtest_results_turn" in plan(connection)


def fair_queue_id(number):
    import uuid

    return uuid.UUID(int=number + 1)


def plan(connection):
    statement = select(Backtest.task_id).where(Backtest.task_id == fair_queue.next_in_line(utc_now()))
    sql = str(statement.compile(connection, compile_kwargs={"literal_binds": True}))
    explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
    return " ".join(str(row) for row in connection.execute(text(explain + sql)))


def test_workers_that_claim_at_once_get_different_backtests(engine):
    made = submit(engine, None, 24)
    claimed, together = [], threading.Barrier(4)

    def work():
        together.wait()
        claimed.extend(claim_all(engine, 6))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(made)


def test_given_another_chance_it_stands_in_line_with_all_its_attempts(engine):
    [task_id] = submit(engine, None)
    for _ in range(3):
        with session_scope(engine) as session:
            claim = backtests.claim(session, task_id, worker="test")
            backtests.release(session, claim, reason="busy")
    with session_scope(engine) as session:
        claim = backtests.claim(session, task_id, worker="test")
        assert claim.tries == 4
        assert not backtests.revive(session, task_id, by="kim")
        backtests.fail(session, claim, code="disk_problem", message="full")
        assert backtests.revive(session, task_id, by="kim")
        again = backtests.claim(session, task_id, worker="test")
    assert (again.attempt, again.tries) == (5, 1)
