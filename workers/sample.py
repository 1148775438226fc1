"""The sample backtest that a first visitor finds: run by the real worker on the sample bars."""

import uuid

import dramatiq
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from engine.spec import parse_spec, spec_to_dict
from storage_core import backtests
from storage_core.db import session_scope
from storage_core.models import Backtest
from storage_core.settings import Settings
from workers.errors import BrokerDown
from workers.queue import send_backtest

SAMPLE_ID = uuid.uuid5(uuid.NAMESPACE_URL, "coin-hts/sample/1")
SAMPLE = {
    "strategy": "sma_cross",
    "params": {"fast": 24, "slow": 96},
    "symbols": ["USD-BTC"],
    "timeframe": "1h",
    "start_date": "2018-01-01",
    "end_date": "2019-10-16",
}


def submit_sample(engine: Engine, settings: Settings, broker: dramatiq.Broker) -> bool:
    """Queue the sample backtest unless it was queued before, in this or an earlier life; True if it was new."""
    try:
        with session_scope(engine) as session:
            if session.get(Backtest, SAMPLE_ID) is not None:
                return False
            spec = spec_to_dict(parse_spec({**SAMPLE, "timezone": settings.timezone}))
            backtests.create(session, spec=spec, owner_id=None, source="sample", task_id=SAMPLE_ID)
    except IntegrityError:
        return False  # another machine starts at this moment, too
    try:
        send_backtest(broker, SAMPLE_ID)
    except BrokerDown:
        return True  # the clock sends it as soon as the broker answers
    return True
