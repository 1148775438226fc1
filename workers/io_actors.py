"""The actor of `worker-io`: a ticket, as in `workers.actors`. What to do is decided by the rows of `jobs`."""

import dramatiq

from workers.jobs import run_next_job
from workers.queue import QUEUE_IO, RUN_JOB
from workers.runtime import Runtime

WEEK_MS = 7 * 24 * 60 * 60 * 1000


@dramatiq.actor(actor_name=RUN_JOB, queue_name=QUEUE_IO, max_retries=0, time_limit=WEEK_MS)
def run_job(_job_id: str) -> None:
    run_next_job(Runtime.current())
