"""Messages through a real Redis protocol server."""

from uuid import uuid4

import dramatiq
import pytest

from workers.errors import BrokerDown
from workers.queue import QUEUE_BACKTESTS, RUN_BACKTEST, make_broker, send_backtest


@pytest.fixture
def broker(broker_url):
    broker = make_broker(broker_url)
    yield broker
    broker.close()


def declare(broker, function):
    return dramatiq.actor(function, broker=broker, actor_name=RUN_BACKTEST, queue_name=QUEUE_BACKTESTS)


def test_a_message_sent_by_name_reaches_the_actor(broker):
    seen = []
    declare(broker, seen.append)
    worker = dramatiq.Worker(broker, worker_threads=1)
    worker.start()
    task_id = uuid4()
    send_backtest(broker, task_id)
    broker.join(QUEUE_BACKTESTS, timeout=60_000)
    worker.join()
    worker.stop()
    assert seen == [str(task_id)]


def test_a_busy_worker_holds_no_second_message_back(broker):
    import threading

    started, go_on = threading.Event(), threading.Event()

    def work(task_id):
        started.set()
        go_on.wait(60)

    declare(broker, work)
    worker = dramatiq.Worker(broker, worker_threads=1)
    worker.start()
    send_backtest(broker, uuid4())
    assert started.wait(60)
    send_backtest(broker, uuid4())
    assert not go_on.wait(0.5)  # time enough for a greedy consumer to take the second one too
    waiting = broker.client.llen(f"dramatiq:{QUEUE_BACKTESTS}")
    go_on.set()
    broker.join(QUEUE_BACKTESTS, timeout=60_000)
    worker.stop()
    assert waiting == 1


def test_a_broker_that_is_away_is_a_clear_error(tmp_path):
    broker = make_broker(f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(BrokerDown, match="the queue does not answer"):
        send_backtest(broker, uuid4())
    broker.close()
