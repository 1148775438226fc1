"""What the clock does for jobs: takes back those of silent workers, and sees to it that what is due has tickets."""

from collections.abc import Collection
from datetime import timedelta

import structlog
from dramatiq.brokers.redis import RedisBroker
from sqlalchemy import Engine

from storage_core import jobs
from storage_core.db import session_scope
from workers.alone import alone
from workers.jobs import KINDS
from workers.queue import QUEUE_IO, count_tickets, send_jobs

log = structlog.get_logger("clock")

MOST_TICKETS = 100
TOP_UP_KEY, TOP_UP_MS = "coin-hts:top-up-io", 10_000


def tick_jobs(
    engine: Engine, broker: RedisBroker, *, silent_for: timedelta, kinds: Collection[str] = KINDS.keys()
) -> int:
    """Queue the jobs of silent workers again and send the tickets that are missing; how many were sent.

    Jobs of other `kinds` get none: no worker of this release would take them.

    Raises:
        BrokerDown: the queue does not answer; nothing is lost, the next tick sends what is left.
    """
    with session_scope(engine) as session:
        lost = jobs.requeue_lost(session, silent_for=silent_for)
    for job_id in lost:
        log.warning("worker fell silent, run the job again", job_id=str(job_id))
    with alone(broker, TOP_UP_KEY, milliseconds=TOP_UP_MS) as mine:
        return _fill(engine, broker, kinds) if mine else 0


def _fill(engine: Engine, broker: RedisBroker, kinds: Collection[str]) -> int:
    with session_scope(engine) as session:
        due = jobs.due(session, kinds=tuple(kinds), limit=MOST_TICKETS)
    missing = len(due) - count_tickets(broker, QUEUE_IO) if due else 0
    if missing <= 0:
        return 0
    send_jobs(broker, due[:missing])
    return missing
