"""The clock: what has to happen now and then. A second clock does no harm: each step claims rows or is idempotent."""

import signal
import threading

import dramatiq
import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from storage_core import backtests
from storage_core.db import make_engine, session_scope
from storage_core.logs import configure_logs
from storage_core.settings import Settings
from workers.child import die_with_parent
from workers.errors import BrokerDown
from workers.queue import make_broker, send_backtest

log = structlog.get_logger("clock")

TICK_SECONDS = 2.0


def tick(engine: Engine, broker: dramatiq.Broker) -> int:
    """Re-queue runs whose worker fell silent, send what waits without a message; returns how many were sent.

    Raises:
        BrokerDown: the queue does not answer; nothing is lost, the next tick sends what is left.
    """
    with session_scope(engine) as session:
        lost = backtests.requeue_lost(session)
    for task_id in lost:
        log.warning("worker fell silent, run again", task_id=str(task_id))
    with session_scope(engine) as session:
        waiting = backtests.waiting(session)
    due = list(dict.fromkeys([*lost, *waiting]))
    for task_id in due:
        send_backtest(broker, task_id)
    with session_scope(engine) as session:
        backtests.mark_sent(session, due)
    return len(due)


def run_clock(engine: Engine, broker: dramatiq.Broker, stop: threading.Event) -> None:
    """Tick until `stop`; a database or queue that is away is waited for."""
    while not stop.is_set():
        try:
            tick(engine, broker)
        except (SQLAlchemyError, BrokerDown) as error:
            log.warning("a tick failed, the next one tries again", error=str(error))
        stop.wait(TICK_SECONDS)


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    die_with_parent()
    settings = Settings.from_env()
    configure_logs(settings.log_format, process="clock")
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    engine, broker = make_engine(settings.database_url), make_broker(settings.broker_url)
    try:
        run_clock(engine, broker, stop)
    finally:
        broker.close()
        engine.dispose()


if __name__ == "__main__":
    main()
