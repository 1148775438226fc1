"""One process at a time, of all machines, by a key in the queue server: nobody waits, and who dies is forgotten."""

from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex

import redis
import structlog
from dramatiq.brokers.redis import RedisBroker

from workers.errors import BrokerDown

log = structlog.get_logger("clock")

# Who took longer than it was given must not end the turn of whoever came next.
_GIVE_BACK = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end"


@contextmanager
def alone(broker: RedisBroker, key: str, *, milliseconds: int) -> Iterator[bool]:
    """Whether nobody else is at the work `key` until the block ends, or the time is over. Raises BrokerDown."""
    mark = token_hex(8)
    try:
        mine = bool(broker.client.set(key, mark, nx=True, px=milliseconds))
    except redis.RedisError as error:
        raise BrokerDown(str(error)) from error
    try:
        yield mine
    finally:
        if mine:
            _give_back(broker, key, mark)


def _give_back(broker: RedisBroker, key: str, mark: str) -> None:
    try:
        broker.client.eval(_GIVE_BACK, 1, key, mark)
    except redis.RedisError as error:
        log.info("the turn ends by itself", work=key, error=str(error))
