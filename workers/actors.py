"""The actors: thin, idempotent, one id each."""

from uuid import UUID

import dramatiq

from storage_core.backtests import MAX_ATTEMPTS
from workers.queue import QUEUE_BACKTESTS, RUN_BACKTEST
from workers.run_backtest import run
from workers.runtime import Runtime

DAY_MS = 24 * 60 * 60 * 1000


@dramatiq.actor(
    actor_name=RUN_BACKTEST,
    queue_name=QUEUE_BACKTESTS,
    max_retries=MAX_ATTEMPTS - 1,
    min_backoff=1_000,
    max_backoff=60_000,
    time_limit=DAY_MS,  # dramatiq cannot interrupt machine code; the run looks at its own flags between chunks
)
def run_backtest(task_id: str) -> None:
    run(Runtime.current(), UUID(task_id))
