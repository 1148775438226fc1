"""One process at a time, by a key in the queue server."""

from contextlib import ExitStack, suppress

import pytest

from tests.services import wait_for
from workers.alone import alone
from workers.errors import BrokerDown
from workers.queue import make_broker

KEY, LONG = "coin-hts:test", 60_000


@pytest.fixture
def broker(broker_url):
    broker = make_broker(broker_url)
    yield broker
    broker.close()


def test_a_second_one_walks_away_until_the_first_has_ended(broker):
    with alone(broker, KEY, milliseconds=LONG) as first, alone(broker, KEY, milliseconds=LONG) as second:
        assert (first, second) == (True, False)
    with suppress(RuntimeError), alone(broker, KEY, milliseconds=LONG) as third:
        assert third
        raise RuntimeError
    assert not broker.client.exists(KEY)


def test_who_took_too_long_does_not_end_the_turn_of_the_next(broker):
    slow = ExitStack()
    assert slow.enter_context(alone(broker, KEY, milliseconds=1))
    wait_for(lambda: not broker.client.exists(KEY))
    with alone(broker, KEY, milliseconds=LONG) as second:
        slow.close()
        with alone(broker, KEY, milliseconds=LONG) as third:
            assert (second, third) == (True, False)


def test_a_queue_server_that_is_away_is_told_at_the_begin_and_does_no_harm_at_the_end(broker, tmp_path):
    nobody = make_broker(f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(BrokerDown), alone(nobody, KEY, milliseconds=LONG):
        pytest.fail("nobody said that it may")
    with alone(broker, KEY, milliseconds=LONG) as mine:
        assert mine
        broker.client.connection_pool.disconnect()
        broker.client.connection_pool = nobody.client.connection_pool
