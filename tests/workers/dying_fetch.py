"""A worker that dies by kill -9 at the end of the first batch of a fetch. Runs in a process of its own."""

import os
import signal
from collections.abc import Mapping
from multiprocessing import get_context
from typing import Any

from storage_core.settings import Settings
from workers import fetch_bars
from workers.job_context import JobContext
from workers.jobs import run_next_job
from workers.queue import make_broker
from workers.runtime import Runtime


def die_in_fetch(settings: Settings, broker_url: str, step: str) -> None:
    """Be killed when the first 1,000 bars are "stored", or when it is also "kept" where to go on."""
    fetch_bars.BARS_A_BATCH = 1000
    keep = JobContext.keep

    def dying(context: JobContext, state: Mapping[str, Any]) -> None:
        if step == "kept":
            keep(context, state)
        os.kill(os.getpid(), signal.SIGKILL)

    JobContext.keep = dying  # type: ignore[method-assign]
    run_next_job(Runtime(settings, make_broker(broker_url)))


def killed_fetch(settings: Settings, broker_url: str, step: str) -> None:
    """Such a death, waited for."""
    process = get_context("spawn").Process(target=die_in_fetch, args=(settings, broker_url, step))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    process.close()
