"""One backtest from claim to commit. The only function that joins engine and storage for a run."""

import re
from uuid import UUID

import structlog
from structlog.contextvars import bound_contextvars

from storage_core import backtests, result_store
from storage_core.backtests import MAX_ATTEMPTS, Claim
from storage_core.db import session_scope
from storage_core.errors import ClaimLost
from workers.compute import compute
from workers.errors import Interrupted
from workers.runtime import Runtime
from workers.watch import Watch

log = structlog.get_logger("worker")


def run(runtime: Runtime, task_id: UUID) -> None:
    """Claim, compute and store the backtest `task_id`; walk away when it is not there to be claimed.

    Raises:
        Exception: what stopped the attempt, when another attempt may succeed; the row is back in the queue.
    """
    with session_scope(runtime.engine) as session:
        claim = backtests.claim(session, task_id, worker=runtime.worker_name)
    if claim is None:
        log.info("not waiting for a worker, left alone", task_id=str(task_id))
        return
    with bound_contextvars(task_id=str(task_id), attempt=claim.attempt):
        try:
            _attempt(runtime, claim)
        except ClaimLost:
            log.warning("another attempt owns this backtest, nothing was written")


def _attempt(runtime: Runtime, claim: Claim) -> None:
    try:
        _compute_and_store(runtime, claim)
    except Interrupted as interruption:
        _interrupted(runtime, claim, interruption)
    except ClaimLost:
        raise
    except Exception as error:
        _failed(runtime, claim, error)


def _compute_and_store(runtime: Runtime, claim: Claim) -> None:
    settings = runtime.settings
    with Watch(runtime.engine, claim, runtime.stopping) as watch:
        outcome = compute(settings, claim.spec, watch, runtime.catalog())
        watch.check()
        watch.report(0.95, "saving")
        result_store.save(
            runtime.engine, settings, claim, outcome.tables, metrics=outcome.metrics, metadata=outcome.metadata
        )
    log.info("completed", seconds=outcome.metadata["seconds"])


def _interrupted(runtime: Runtime, claim: Claim, interruption: Interrupted) -> None:
    log.info("stopped between two chunks", why=interruption.why)
    if interruption.why == "lost":
        return
    with session_scope(runtime.engine) as session:
        if interruption.why == "cancel":
            backtests.mark_cancelled(session, claim)
            return
        backtests.release(session, claim, reason="the worker was told to stop")
    raise interruption  # the queue keeps the message for the next worker


def _failed(runtime: Runtime, claim: Claim, error: Exception) -> None:
    code, message, permanent = describe(error)
    final = permanent or claim.attempt >= MAX_ATTEMPTS
    log.error("attempt failed", code=code, final=final, exc_info=error)
    with session_scope(runtime.engine) as session:
        if final:
            backtests.fail(session, claim, code=code, message=message)
        else:
            backtests.release(session, claim, reason=f"{code}: {message}")
    if not permanent:
        raise error


def describe(error: Exception) -> tuple[str, str, bool]:
    """Stable code, sentence for people, and whether trying again is useless, of what stopped an attempt."""
    permanent = getattr(error, "permanent", None)
    if permanent is None:
        return "internal_error", f"the run broke: {type(error).__name__}: {error}", False
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower(), str(error), bool(permanent)
