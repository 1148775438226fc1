"""Backtests that failed in every attempt: what went wrong, and another chance. Importable by the web.

A dead letter is a message in dramatiq's own dead-letter queue (`dramatiq:backtests.XQ`), kept for seven days. It only
adds the traceback to what the row says: a failed backtest can be given another chance without one, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from sqlalchemy import Engine

from storage_core import backtests
from storage_core.db import session_scope
from workers.errors import BrokerDown
from workers.queue import QUEUE_BACKTESTS, make_ticket, send_backtest

NOT_KNOWN = "the worker broke outside of the backtest; its log says how"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Which backtest, why, and when; `traceback` is for the operator, not for the person who submitted it."""

    message_id: str
    task_id: UUID
    at: datetime
    code: str
    reason: str
    traceback: str
    attempt: int
    worker: str


def bury(
    broker: RedisBroker,
    task_id: UUID,
    *,
    code: str,
    reason: str,
    traceback: str = "",
    attempt: int = 0,
    worker: str = "",
) -> None:
    """Put a message for `task_id` in the dead-letter queue. Raises BrokerDown."""
    dead = {"code": code, "reason": reason, "traceback": traceback, "attempt": attempt, "worker": worker}
    ticket = make_ticket(task_id, dead=dead)
    try:
        with broker.client.pipeline(transaction=True) as pipeline:
            pipeline.hset(_messages(broker), ticket.message_id, ticket.encode())
            pipeline.zadd(_times(broker), {ticket.message_id: int(datetime.now(UTC).timestamp() * 1000)})
            pipeline.execute()
    except redis.RedisError as error:
        raise BrokerDown(str(error)) from error


def list_dead(broker: RedisBroker) -> list[DeadLetter]:
    """Every dead letter, the newest first. Raises BrokerDown."""
    try:
        times: Any = broker.client.zrevrange(_times(broker), 0, -1, withscores=True)
        bodies = broker.client.hmget(_messages(broker), [name for name, _ in times]) if times else []
    except redis.RedisError as error:
        raise BrokerDown(str(error)) from error
    found = zip(times, bodies, strict=True)
    return [_letter(name.decode(), at, dramatiq.Message.decode(body)) for (name, at), body in found if body]


def retry_dead(engine: Engine, broker: RedisBroker, task_id: UUID, *, by: str) -> bool:
    """Queue the failed backtest again with all its attempts to come; False when it is not failed (any more).

    Its dead letters are removed either way. Raises BrokerDown when they cannot be; the backtest is queued by then.
    """
    with session_scope(engine) as session:
        revived = backtests.revive(session, task_id, by=by)
    if revived:
        send_backtest(broker, task_id)
    _remove(broker, task_id)
    return revived


def discard_dead(engine: Engine, broker: RedisBroker, task_id: UUID, *, by: str) -> bool:
    """Remove the dead letters of `task_id`, which stays failed; False when there were none. Raises BrokerDown."""
    removed = _remove(broker, task_id)
    if removed:
        with session_scope(engine) as session:
            backtests.add_event(session, task_id, "discarded", actor=by)
    return removed


def _remove(broker: RedisBroker, task_id: UUID) -> bool:
    names = [letter.message_id for letter in list_dead(broker) if letter.task_id == task_id]
    if names:
        with broker.client.pipeline(transaction=True) as pipeline:
            pipeline.zrem(_times(broker), *names)
            pipeline.hdel(_messages(broker), *names)
            pipeline.execute()
    return bool(names)


def _letter(name: str, at: float, message: dramatiq.Message[Any]) -> DeadLetter:
    dead: Mapping[str, Any] = message.options.get("dead", {})
    return DeadLetter(
        message_id=name,
        task_id=UUID(message.args[0]),
        at=datetime.fromtimestamp(at / 1000, UTC),
        code=dead.get("code", "internal_error"),
        reason=dead.get("reason", NOT_KNOWN),
        traceback=dead.get("traceback", ""),
        attempt=dead.get("attempt", 0),
        worker=dead.get("worker", ""),
    )


def _times(broker: RedisBroker) -> str:
    return f"{broker.namespace}:{QUEUE_BACKTESTS}.XQ"


def _messages(broker: RedisBroker) -> str:
    return f"{_times(broker)}.msgs"
