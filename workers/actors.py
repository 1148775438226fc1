"""The actors: thin, and each a ticket. What to run, and how often, is decided by the rows."""

import dramatiq

from workers.queue import QUEUE_BACKTESTS, RUN_BACKTEST
from workers.run_backtest import run_next
from workers.runtime import Runtime

WEEK_MS = 7 * 24 * 60 * 60 * 1000


@dramatiq.actor(
    actor_name=RUN_BACKTEST,
    queue_name=QUEUE_BACKTESTS,
    max_retries=0,  # the row counts its attempts; a retry is a new ticket
    time_limit=WEEK_MS,  # BACKTEST_TIME_LIMIT is what stops a run; dramatiq cannot interrupt machine code
)
def run_backtest(_task_id: str) -> None:
    run_next(Runtime.current())
