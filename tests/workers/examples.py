"""Bars, specs and rows for the tests of the workers."""

import numpy as np

from engine.spec import parse_spec, spec_to_dict
from storage_core import backtests
from storage_core.db import session_scope

HOUR = 3_600_000_000
START = 1_704_067_200_000_000  # 2024-01-01 UTC


def wave(count, seed=0):
    """Bars that rise and fall, with real-looking ranges."""
    random = np.random.default_rng(seed)
    close = np.round(100 + 10 * np.sin(np.arange(count) / 9) + random.normal(0, 0.3, count), 2)
    open_ = np.concatenate([[close[0]], close[:-1]])
    return {
        "timestamp": START + np.arange(count) * HOUR,
        "open": open_,
        "high": np.maximum(open_, close) + 0.5,
        "low": np.minimum(open_, close) - 0.5,
        "close": close,
        "volume": random.uniform(1, 10, count),
    }


def spec(**changes):
    return spec_to_dict(
        parse_spec(
            {
                "strategy": "sma_cross",
                "symbols": ["USD-BTC"],
                "timeframe": "1h",
                "start_date": "2024-01-01",
                "end_date": "2024-01-31",
                **changes,
            }
        )
    )


def queue(runtime, **changes):
    with session_scope(runtime.engine) as session:
        return backtests.create(session, spec=spec(**changes), owner_id=None, source="web").task_id


def row(runtime, task_id):
    with session_scope(runtime.engine) as session:
        return backtests.get(session, task_id)


def kinds(runtime, task_id):
    with session_scope(runtime.engine) as session:
        return [event.kind for event in backtests.events(session, task_id)]
