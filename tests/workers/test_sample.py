"""The sample backtest that a first visitor finds."""

from sqlalchemy import func, select

from storage_core.db import session_scope
from storage_core.models import Backtest
from tests.storage_core.at_once import just_after
from workers.queue import count_tickets, make_broker
from workers.sample import submit_sample


def test_two_machines_that_start_at_once_submit_one(engine, settings, broker_url):
    broker, first = make_broker(broker_url), []
    with just_after(engine, "SELECT", lambda: first.append(submit_sample(engine, settings, broker))) as looked:
        second = submit_sample(engine, settings, broker)
    assert (looked != [], first, second) == (True, [True], False)
    assert not submit_sample(engine, settings, broker)
    with session_scope(engine) as session:
        assert session.scalar(select(func.count()).select_from(Backtest)) == 1
    assert count_tickets(broker) == 1
    broker.close()
