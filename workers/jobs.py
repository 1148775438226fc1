"""One job from claim to end. A kind of job is one line in KINDS and one function `(context: JobContext) -> dict`.

What the function returns is the job's outcome. It raises an error with `permanent` to say whether trying again helps;
it may be stopped between any two calls of `context.check` and is run again from `context.state`.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from importlib import import_module
from typing import Any, TypeAlias

import structlog
from structlog.contextvars import bound_contextvars

from storage_core import jobs
from storage_core.db import session_scope
from storage_core.errors import JobLost
from storage_core.jobs import MAX_ATTEMPTS, JobClaim
from workers.errors import BrokerDown, Interrupted
from workers.failures import backoff, describe
from workers.job_context import JobContext
from workers.patience import patiently
from workers.queue import send_job
from workers.runtime import Runtime

log = structlog.get_logger("worker")

Outcome: TypeAlias = dict[str, Any]

KINDS: Mapping[str, str] = {
    "fetch_bars": "workers.fetch_bars:fetch_bars",
    "backup": "workers.take_backup:take_backup",
    "prune_backups": "workers.take_backup:prune_backups",
    "rehearse_backup": "workers.take_backup:rehearse_backup",
    "verify_backup": "workers.take_backup:verify_backup",
    "run_schedule": "workers.run_schedules:run_schedule",
    "cleanup_results": "workers.clean_up:clean_up_results",
    "undelete_results": "workers.clean_up:undelete_results",
}
"""The function of each kind, loaded when the first job of it is run."""

CLAIM_PATIENCE, END_PATIENCE = 86_400.0, 15.0
STOPPED = "worker_stopped"


def run_next_job(runtime: Runtime, kinds: Mapping[str, str] = KINDS) -> bool:
    """Claim the job that has waited longest and run it; False when none is due."""
    claim = patiently(partial(_claim, runtime, kinds), stopping=runtime.stopping, seconds=CLAIM_PATIENCE)
    if claim is None:
        log.debug("no job is due")
        return False
    asked_by = {"request_id": claim.request_id} if claim.request_id else {}
    with bound_contextvars(job_id=str(claim.job_id), kind=claim.kind, attempt=claim.attempt, **asked_by):
        try:
            _attempt(runtime, claim, kinds[claim.kind])
        except JobLost:
            log.warning("another attempt owns this job, nothing was written")
    return True


def load(path: str) -> Callable[[JobContext], Outcome]:
    """The function at "package.module:name"."""
    module, _, name = path.partition(":")
    function: Callable[[JobContext], Outcome] = getattr(import_module(module), name)
    return function


def _claim(runtime: Runtime, kinds: Mapping[str, str]) -> JobClaim | None:
    with session_scope(runtime.engine) as session:
        return jobs.claim_next(session, worker=runtime.worker_name, kinds=tuple(kinds))


def _attempt(runtime: Runtime, claim: JobClaim, path: str) -> None:
    try:
        with JobContext(runtime.settings, runtime.engine, claim, stopping=runtime.stopping) as context:
            outcome = load(path)(context)
    except Interrupted as interruption:
        log.info("stopped before its end", why=interruption.why)
        _interrupted(runtime, claim, interruption.why)
    except JobLost:
        raise
    except Exception as error:
        _failed(runtime, claim, error)
    else:
        _end(runtime, partial(jobs.finish, claim=claim, outcome=outcome))
        log.info("completed")


def _interrupted(runtime: Runtime, claim: JobClaim, why: str) -> None:
    if why == "cancelled":
        _end(runtime, partial(jobs.mark_cancelled, claim=claim))
    elif why == "stopping":  # no fault of the job: the attempt does not count
        message = "the worker was told to stop"
        _end(runtime, partial(jobs.release, claim=claim, code=STOPPED, message=message, excused=True))
        _send_again(runtime, claim, delay_seconds=0)


def _failed(runtime: Runtime, claim: JobClaim, error: Exception) -> None:
    code, message, permanent = describe(error)
    final = permanent or claim.tries >= MAX_ATTEMPTS
    delay = 0.0 if final else backoff(claim.tries)
    trace = None if permanent else error
    log.error("attempt failed", code=code, final=final, again_in_seconds=delay, reason=message, exc_info=trace)
    if final:
        _end(runtime, partial(jobs.fail, claim=claim, code=code, message=message))
        return
    wait = timedelta(seconds=delay)
    _end(runtime, partial(jobs.release, claim=claim, code=code, message=message, delay=wait))
    _send_again(runtime, claim, delay_seconds=delay)


def _end(runtime: Runtime, write: Callable[..., None]) -> None:
    """Write the end of the attempt; a database that restarts is waited for."""

    def written() -> None:
        with session_scope(runtime.engine) as session:
            write(session)

    patiently(written, stopping=runtime.stopping, seconds=END_PATIENCE)


def _send_again(runtime: Runtime, claim: JobClaim, *, delay_seconds: float) -> None:
    try:
        send_job(runtime.broker, claim.job_id, delay_seconds=delay_seconds)
    except BrokerDown as error:
        log.warning("the clock will send it", error=str(error))
