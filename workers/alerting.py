"""The clock's thread for alerts: look for what is wrong every minute, tell the channels within seconds."""

import threading
import time
from contextlib import ExitStack

import structlog
from dramatiq.brokers.redis import RedisBroker
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from storage_core.settings import Settings
from workers.alone import alone
from workers.conditions import Surroundings, look
from workers.errors import BrokerDown
from workers.send_alerts import send_owed

log = structlog.get_logger("alerts")

SEND_SECONDS, LOOK_SECONDS = 2.0, 60.0
SENDING_KEY, SENDING_MS = "coin-hts:sending-alerts", 120_000


def run_alerting(engine: Engine, settings: Settings, broker: RedisBroker, stop: threading.Event) -> None:
    """Look and tell until `stop`; a database or queue that is away is waited for."""
    around = Surroundings(engine, settings, broker)
    next_look = time.monotonic()
    while not stop.is_set():
        try:
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + LOOK_SECONDS
                look(around)
            tell(engine, settings, broker)
        except SQLAlchemyError as error:
            log.warning("alerts wait for the database", error=str(error))
        stop.wait(SEND_SECONDS)


def tell(engine: Engine, settings: Settings, broker: RedisBroker) -> None:
    """Send what the channels are owed, unless another clock does so at this moment."""
    if not settings.alert_urls:
        return
    with ExitStack() as stack:
        try:
            mine = stack.enter_context(alone(broker, SENDING_KEY, milliseconds=SENDING_MS))
        except BrokerDown:
            mine = True  # of two clocks both send then: twice is better than not at all
        if mine:
            send_owed(engine, settings)
