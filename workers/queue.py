"""The broker and the messages. Importable by the web: loads no actor, no numba."""

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import BrokerConnectionError

from workers.errors import BrokerDown

QUEUE_BACKTESTS = "backtests"
RUN_BACKTEST = "run_backtest"

# The longest pause between two looks at an empty queue; dramatiq's own second would be most of a short backtest.
IDLE_POLL_MS = 100
HEARTBEAT_TIMEOUT_MS = 10_000


class PromptBroker(RedisBroker):
    """Takes one message at a time, soon: a long backtest never holds a second one back from an idle worker."""

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> dramatiq.Consumer:
        """Consume `queue_name`; the delay queue keeps its large prefetch, its messages only wait."""
        wanted = prefetch if queue_name in self.delay_queues else 1
        return super().consume(queue_name, prefetch=wanted, timeout=min(timeout, IDLE_POLL_MS))


def make_broker(url: str) -> PromptBroker:
    """Connect lazily to the Redis protocol server at `url` (redis://, rediss:// or unix://)."""
    return PromptBroker(  # type: ignore[no-untyped-call]  # dramatiq's Redis broker has no annotations
        url=url, maintenance_chance=1_000_000, heartbeat_timeout=HEARTBEAT_TIMEOUT_MS
    )


def send_backtest(broker: dramatiq.Broker, task_id: object) -> None:
    """Ask a worker to run the backtest `task_id`; sending twice is harmless, the row is claimed once.

    Raises:
        BrokerDown: the broker does not answer. The row stays queued and the clock sends it later.
    """
    message: dramatiq.Message[None] = dramatiq.Message(
        queue_name=QUEUE_BACKTESTS, actor_name=RUN_BACKTEST, args=(str(task_id),), kwargs={}, options={}
    )
    try:
        broker.enqueue(message)
    except (redis.RedisError, BrokerConnectionError) as error:
        raise BrokerDown(str(error)) from error
