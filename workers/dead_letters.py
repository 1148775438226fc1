"""Backtests that failed in every attempt: what went wrong, and another chance. Importable by the web.

A dead letter is a message in dramatiq's own dead-letter queue (`dramatiq:backtests.XQ`), kept for seven days. It only
adds the traceback to what the row says: a failed backtest can be given another chance without one, too.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from sqlalchemy import Engine

from storage_core import audit, backtests
from storage_core.db import session_scope
from storage_core.models import Backtest
from workers.errors import BrokerDown
from workers.queue import QUEUE_BACKTESTS, make_ticket, send_backtests

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


def list_dead(broker: RedisBroker, *, limit: int | None = None) -> list[DeadLetter]:
    """The newest `limit` dead letters (None: all), the newest first. Raises BrokerDown."""
    try:
        last = -1 if limit is None else limit - 1
        times: Any = broker.client.zrevrange(_times(broker), 0, last, withscores=True)
        bodies = broker.client.hmget(_messages(broker), [name for name, _ in times]) if times else []
    except redis.RedisError as error:
        raise BrokerDown(str(error)) from error
    found = zip(times, bodies, strict=True)
    return [_letter(name.decode(), at, dramatiq.Message.decode(body)) for (name, at), body in found if body]


def retry_dead(engine: Engine, broker: RedisBroker, task_ids: Collection[UUID], *, by: str) -> list[UUID]:
    """Queue failed backtests again with all their attempts to come; returns those that were failed.

    The dead letters of all of them are removed. Raises BrokerDown when they cannot be; those backtests are queued by
    then, and the clock sends their tickets.
    """
    revived = [task_id for task_id in task_ids if _revive(engine, task_id, by)]
    send_backtests(broker, revived)
    _remove(broker, task_ids)
    return revived


def discard_dead(engine: Engine, broker: RedisBroker, task_ids: Collection[UUID], *, by: str) -> list[UUID]:
    """Remove the dead letters of backtests, which stay failed; returns those that had one. Raises BrokerDown."""
    removed = _remove(broker, task_ids)
    for task_id in removed:
        with session_scope(engine) as session:
            if session.get(Backtest, task_id) is not None:  # it may have been deleted for good since
                backtests.add_event(session, task_id, "discarded", actor=by)
            audit.record(session, actor=by, action="dead_letter.discarded", target=str(task_id))
    return removed


def _revive(engine: Engine, task_id: UUID, by: str) -> bool:
    with session_scope(engine) as session:
        revived = backtests.revive(session, task_id, by=by)
        if revived:
            audit.record(session, actor=by, action="dead_letter.retried", target=str(task_id))
    return revived


def _remove(broker: RedisBroker, task_ids: Collection[UUID]) -> list[UUID]:
    """The backtests whose letters are gone now."""
    found = [letter for letter in list_dead(broker) if letter.task_id in task_ids]
    names = [letter.message_id for letter in found]
    if names:
        try:
            with broker.client.pipeline(transaction=True) as pipeline:
                pipeline.zrem(_times(broker), *names)
                pipeline.hdel(_messages(broker), *names)
                pipeline.execute()
        except redis.RedisError as error:
            raise BrokerDown(str(error)) from error
    return list(dict.fromkeys(letter.task_id for letter in found))


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
