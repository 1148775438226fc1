"""The clock: what has to happen now and then. A second clock does no harm: each step claims rows or is idempotent."""

import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import structlog
from dramatiq.brokers.redis import RedisBroker
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from storage_core import backtests, fair_queue, processes
from storage_core.backtests import WORKER_LOST
from storage_core.db import make_engine, session_scope, utc_now
from storage_core.logs import configure_logs
from storage_core.settings import Settings
from storage_core.sources import engine_sha256
from workers.alerting import run_alerting
from workers.alone import alone
from workers.child import die_with_parent
from workers.dead_letters import bury
from workers.errors import BrokerDown
from workers.housekeeping import run_housekeeping
from workers.job_tickets import tick_jobs
from workers.presence import Presence
from workers.queue import count_tickets, make_broker, send_backtests
from workers.run_counts import count_failed
from workers.run_schedules import take_turns
from workers.take_backup import run_backup_schedule

log = structlog.get_logger("clock")

TICK_SECONDS = 2.0
SILENT_FOR = timedelta(seconds=15)
MOST_TICKETS = 1_000  # enough for any number of workers until the next tick, however many rows are queued
TOP_UP_KEY, TOP_UP_MS = "coin-hts:top-up", 10_000


def tick(engine: Engine, broker: RedisBroker, *, silent_for: timedelta = SILENT_FOR) -> int:
    """Re-queue runs whose worker fell silent, and see to it that what is queued has tickets; how many were sent.

    Raises:
        BrokerDown: the queue does not answer; nothing is lost, the next tick sends what is left.
    """
    failed: list[tuple[UUID, int]] = []
    with session_scope(engine) as session:
        processes.forget_silent(session)
        lost = backtests.requeue_lost(
            session, silent_for=silent_for, on_failed=lambda task_id, attempt: failed.append((task_id, attempt))
        )
    for task_id in lost:
        log.warning("worker fell silent, run again", task_id=str(task_id))
    for task_id, attempt in failed:
        log.error("worker fell silent in the last attempt", task_id=str(task_id))
        count_failed(broker, WORKER_LOST)
        bury(broker, task_id, code=WORKER_LOST, reason="the worker fell silent in the last attempt", attempt=attempt)
    take_turns(engine)
    tick_jobs(engine, broker, silent_for=silent_for)
    return top_up(engine, broker)


def top_up(engine: Engine, broker: RedisBroker) -> int:
    """Send tickets until there are as many as queued backtests, or 1,000: whatever became of those sent before.

    This is what heals a broker that was away, or has lost its data, wholly or in part. Tickets that came to nothing
    cannot pile up, because the count includes them. Of two clocks at once one looks and fills the gap. Returns how
    many were sent; raises BrokerDown.
    """
    with alone(broker, TOP_UP_KEY, milliseconds=TOP_UP_MS) as mine:
        return _fill(engine, broker) if mine else 0


def _fill(engine: Engine, broker: RedisBroker) -> int:
    with session_scope(engine) as session:
        queued = fair_queue.in_line(session, limit=MOST_TICKETS, now=utc_now())
    missing = len(queued) - count_tickets(broker)
    if missing <= 0:
        return 0
    send_backtests(broker, queued[:missing])
    log.info("sent tickets", count=missing)
    return missing


def run_clock(engine: Engine, broker: RedisBroker, stop: threading.Event) -> None:
    """Tick until `stop`; a database or queue that is away is waited for."""
    presence = Presence(engine, "clock", version=engine_sha256()[:12])
    while not stop.is_set():
        try:
            presence.beat()
            tick(engine, broker)
        except (SQLAlchemyError, BrokerDown) as error:
            log.warning("a tick failed, the next one tries again", error=str(error))
        stop.wait(TICK_SECONDS)
    try:
        presence.leave()
    except SQLAlchemyError as error:
        log.warning("the sign of life stays and falls silent", error=str(error))


class Part(threading.Thread):
    """Work beside the ticks, until `stop`. If it breaks, the clock ends, and begins again with all of its parts."""

    def __init__(self, work: Callable[..., None], *about: object, stop: threading.Event) -> None:
        super().__init__(name=work.__name__, daemon=True)
        self._work, self._about, self._stop_all = work, about, stop

    def run(self) -> None:
        """Work; a clock that went on without it would not be missed for days."""
        try:
            self._work(*self._about, self._stop_all)
        finally:
            self._stop_all.set()


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    die_with_parent()
    settings = Settings.from_env()
    configure_logs(settings.log_format, process="clock")
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    engine, broker = make_engine(settings.database_url), make_broker(settings.broker_url)
    parts = [
        Part(run_housekeeping, engine, settings, stop=stop),
        Part(run_backup_schedule, engine, settings, stop=stop),
        Part(run_alerting, engine, settings, broker, stop=stop),
    ]
    try:
        for part in parts:
            part.start()
        run_clock(engine, broker, stop)
    finally:
        broker.close()
        engine.dispose()


if __name__ == "__main__":
    main()
