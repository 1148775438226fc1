"""The broker and the messages. Importable by the web: loads no actor, no numba.

A message is a ticket: it says that something is queued, not what to run next. The worker that takes it claims the
backtest whose turn it is (`storage_core.fair_queue`), so tickets may be lost, doubled or reordered without harm.
"""

import threading
from collections.abc import Iterable

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.errors import BrokerConnectionError
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from workers.errors import BrokerDown

QUEUE_BACKTESTS = "backtests"
RUN_BACKTEST = "run_backtest"
QUEUE_IO = "io"
RUN_JOB = "run_job"

# The longest pause between two looks at an empty queue; dramatiq's own second would be most of a short backtest.
IDLE_POLL_MS = 100
HEARTBEAT_TIMEOUT_MS = 10_000


class PromptConsumer(_RedisConsumer):
    """Fetches the next message the moment there is room for one, where dramatiq's own sleeps its pause to the end."""

    def __init__(self, broker: RedisBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        super().__init__(broker, queue_name, prefetch, timeout)  # type: ignore[no-untyped-call]
        self._room = threading.Event()

    def __next__(self) -> dramatiq.MessageProxy | None:
        if self.outstanding_message_count >= self.prefetch:
            self._room.wait(self.timeout / 1000)
            self._room.clear()
            if self.outstanding_message_count >= self.prefetch:
                return None
            self.misses = 0
        message: dramatiq.MessageProxy | None = super().__next__()  # type: ignore[no-untyped-call]
        return message

    def ack(self, message: dramatiq.MessageProxy) -> None:
        """Done with the message: there is room for the next."""
        super().ack(message)  # type: ignore[no-untyped-call]
        self._room.set()

    def nack(self, message: dramatiq.MessageProxy) -> None:
        """Dead-letter the message: there is room for the next."""
        super().nack(message)  # type: ignore[no-untyped-call]
        self._room.set()


class PromptBroker(RedisBroker):
    """Takes one message at a time, soon: a long backtest never holds a second one back from an idle worker."""

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> dramatiq.Consumer:
        """Consume `queue_name`; the delay queue keeps its large prefetch, its messages only wait."""
        wanted = prefetch if queue_name in self.delay_queues else 1
        return PromptConsumer(self, queue_name, wanted, min(timeout, IDLE_POLL_MS))

    def close(self) -> None:
        """Close the connections, which dramatiq's own leaves open."""
        self.client.connection_pool.disconnect()


def make_broker(url: str) -> PromptBroker:
    """Connect lazily to the Redis protocol server at `url` (redis://, rediss:// or unix://)."""
    # The client's own patience is many seconds, which a person who submits would wait for; the clock has more of it.
    retry = Retry(ExponentialBackoff(cap=0.1, base=0.02), retries=2)
    pool = redis.ConnectionPool.from_url(url, retry=retry, socket_connect_timeout=2, socket_timeout=10)
    return PromptBroker(  # type: ignore[no-untyped-call]  # dramatiq's Redis broker has no annotations
        client=redis.Redis(connection_pool=pool),
        maintenance_chance=1_000_000,
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
    )


def send_backtest(broker: dramatiq.Broker, task_id: object, *, delay_seconds: float = 0) -> None:
    """Send a ticket for the queued backtest `task_id`; sending twice is harmless, a row is claimed once.

    Raises:
        BrokerDown: the broker does not answer. The row stays queued and the clock sends the ticket.
    """
    send_backtests(broker, [task_id], delay_seconds=delay_seconds)


def send_backtests(broker: dramatiq.Broker, task_ids: Iterable[object], *, delay_seconds: float = 0) -> None:
    """Send a ticket for each. Raises BrokerDown, and then some may have been sent."""
    _send(broker, map(make_ticket, task_ids), delay_seconds)


def make_ticket(task_id: object, **options: object) -> dramatiq.Message[None]:
    """The message as it goes to the queue."""
    return _message(QUEUE_BACKTESTS, RUN_BACKTEST, task_id, **options)


def send_job(broker: dramatiq.Broker, job_id: object, *, delay_seconds: float = 0) -> None:
    """Send a ticket for the queued job `job_id` (`storage_core.jobs`). Raises BrokerDown; the clock sends it then."""
    send_jobs(broker, [job_id], delay_seconds=delay_seconds)


def send_jobs(broker: dramatiq.Broker, job_ids: Iterable[object], *, delay_seconds: float = 0) -> None:
    """Send a ticket for each. Raises BrokerDown, and then some may have been sent."""
    _send(broker, [_message(QUEUE_IO, RUN_JOB, job_id) for job_id in job_ids], delay_seconds)


def _send(broker: dramatiq.Broker, messages: Iterable[dramatiq.Message[None]], delay_seconds: float) -> None:
    delay = round(1000 * delay_seconds) or None
    try:
        for message in messages:
            broker.enqueue(message, delay=delay)
    except (redis.RedisError, BrokerConnectionError) as error:
        raise BrokerDown(str(error)) from error


def _message(queue: str, actor: str, argument: object, **options: object) -> dramatiq.Message[None]:
    return dramatiq.Message(queue_name=queue, actor_name=actor, args=(str(argument),), kwargs={}, options=options)


def count_tickets(broker: RedisBroker, queue: str = QUEUE_BACKTESTS) -> int:
    """Tickets that lie in the queue, neither taken by a worker nor delayed. Raises BrokerDown."""
    try:
        return int(broker.client.llen(f"{broker.namespace}:{queue}"))
    except redis.RedisError as error:
        raise BrokerDown(str(error)) from error
