"""Counts of ended backtests that survive every process: kept in the queue server, told by /metrics. No numba.

Workers and clocks add to one hash. A queue server that loses its data begins again at zero, which Prometheus takes for
a restart; one that is away costs the counts of that while, and nothing else.
"""

import json
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

import redis
import structlog
from dramatiq.brokers.redis import RedisBroker

from workers.errors import BrokerDown

log = structlog.get_logger("worker")

KEY = "coin-hts:run-counts"
BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0)
BEYOND = "+Inf"
SECONDS, TOTAL, FAILED = "seconds", "total", "failed"


@dataclass(slots=True)
class Seconds:
    """How long the completed backtests of one strategy took: how many in each bucket (not summed up), and in all."""

    buckets: dict[str, int] = field(default_factory=dict)
    total: float = 0.0

    def cumulative(self) -> list[tuple[str, int]]:
        """(upper bound, how many took at most so long), as Prometheus has it."""
        counted, found = 0, []
        for bound in (*map(str, BUCKETS), BEYOND):
            counted += self.buckets.get(bound, 0)
            found.append((bound, counted))
        return found


@dataclass(frozen=True, slots=True)
class RunCounts:
    """Completed backtests by strategy, and failed ones by code."""

    seconds: Mapping[str, Seconds]
    failed: Mapping[str, int]


def count_completed(broker: RedisBroker, strategy: str, seconds: float) -> None:
    """Add one completed backtest that took so long, from claim to commit."""
    where = bisect_left(BUCKETS, seconds)
    bound = str(BUCKETS[where]) if where < len(BUCKETS) else BEYOND
    try:
        with broker.client.pipeline(transaction=True) as pipeline:
            pipeline.hincrby(KEY, json.dumps([SECONDS, strategy, bound]), 1)
            pipeline.hincrbyfloat(KEY, json.dumps([TOTAL, strategy]), seconds)
            pipeline.execute()
    except redis.RedisError as error:
        log.info("a completed backtest was not counted", error=str(error))


def count_failed(broker: RedisBroker, code: str) -> None:
    """Add one backtest that failed for good."""
    try:
        broker.client.hincrby(KEY, json.dumps([FAILED, code]), 1)
    except redis.RedisError as error:
        log.info("a failed backtest was not counted", error=str(error))


def read_counts(broker: RedisBroker) -> RunCounts:
    """Everything counted so far. Raises BrokerDown."""
    try:
        stored: Mapping[bytes, bytes] = broker.client.hgetall(KEY)  # type: ignore[assignment]  # not the async client
    except redis.RedisError as error:
        raise BrokerDown(str(error)) from error
    seconds: dict[str, Seconds] = {}
    failed: dict[str, int] = {}
    for name, value in stored.items():
        kind, of, *bound = json.loads(name)
        if kind == FAILED:
            failed[of] = int(value)
        elif kind == TOTAL:
            seconds.setdefault(of, Seconds()).total = float(value)
        else:
            seconds.setdefault(of, Seconds()).buckets[bound[0]] = int(value)
    return RunCounts(seconds, failed)
