"""One backtest from claim to commit. The only module that joins engine and storage for a run.

The row decides: which backtest is next, how many attempts it has had, whether there is another one. A retry and a
run that is handed back are new tickets; dramatiq itself never tries anything again.
"""

import time
import traceback
from datetime import timedelta
from functools import partial
from uuid import UUID

import structlog
from structlog.contextvars import bound_contextvars

from storage_core import backtests, result_store
from storage_core.backtests import MAX_ATTEMPTS, Claim
from storage_core.db import session_scope
from storage_core.errors import ClaimLost
from workers.compute import Outcome, compute
from workers.dead_letters import bury
from workers.errors import BrokerDown, Interrupted
from workers.failures import backoff, describe
from workers.patience import patiently
from workers.queue import send_backtest
from workers.run_counts import count_completed, count_failed
from workers.runtime import Runtime
from workers.verify import verified
from workers.watch import Watch

log = structlog.get_logger("worker")

CLAIM_PATIENCE, SAVE_PATIENCE = 86_400.0, 15.0  # without a database there is nothing else to do than to wait for it
BEFORE_MOVE = result_store.STEPS[: result_store.STEPS.index("moved")]


def run_next(runtime: Runtime) -> bool:
    """Claim the backtest whose turn it is, compute and store it; False when none is waiting."""
    return _run(runtime, None)


def run(runtime: Runtime, task_id: UUID) -> bool:
    """The same with the backtest `task_id`; False when it is not there to be claimed."""
    return _run(runtime, task_id)


def _run(runtime: Runtime, task_id: UUID | None) -> bool:
    claim = patiently(partial(_claim, runtime, task_id), stopping=runtime.stopping, seconds=CLAIM_PATIENCE)
    if claim is None:
        log.debug("nothing is waiting")
        return False
    asked_by = {"request_id": claim.request_id} if claim.request_id else {}
    with bound_contextvars(task_id=str(claim.task_id), attempt=claim.attempt, **asked_by):
        runtime.presence.task_id = claim.task_id
        try:
            _attempt(runtime, claim)
        except ClaimLost:
            log.warning("another attempt owns this backtest, nothing was written")
        finally:
            runtime.presence.task_id = None
    return True


def _claim(runtime: Runtime, task_id: UUID | None) -> Claim | None:
    with session_scope(runtime.engine) as session:
        if task_id is None:
            return backtests.claim_next(session, worker=runtime.worker_name)
        return backtests.claim(session, task_id, worker=runtime.worker_name)


def _attempt(runtime: Runtime, claim: Claim) -> None:
    began = time.perf_counter()
    try:
        _compute_and_store(runtime, claim)
        count_completed(runtime.broker, claim.spec["strategy"], time.perf_counter() - began)
    except Interrupted as interruption:
        log.info("stopped before its end", why=interruption.why)
        if interruption.why == "stopping":
            _hand_back(runtime, claim)
    except ClaimLost:
        raise
    except Exception as error:
        _failed(runtime, claim, error)


def _compute_and_store(runtime: Runtime, claim: Claim) -> None:
    settings, strategies = runtime.settings, runtime.strategies()
    limit = settings.backtest_time_limit
    with Watch(runtime.engine, claim, stopping=runtime.stopping, time_limit=limit) as watch:
        outcome = watch.run(partial(compute, settings, claim.spec, watch, strategies.catalog))
        outcome.metadata.update(runtime.origin(claim.spec, outcome.metadata, own_code=strategies.code))
        if claim.source == "verify":
            watch.report(0.92, "comparing")
            outcome.metadata["verification"] = watch.run(partial(verified, runtime.engine, settings, claim, outcome))
        watch.check()
        watch.report(0.95, "saving")
        patiently(partial(_save, runtime, claim, outcome, watch), stopping=runtime.stopping, seconds=SAVE_PATIENCE)
    log.info("completed", seconds=outcome.metadata["seconds"])


def _save(runtime: Runtime, claim: Claim, outcome: Outcome, watch: Watch) -> None:
    def on_step(step: str) -> None:
        if step in BEFORE_MOVE:
            watch.check_ownership()

    tables, metrics, metadata = outcome.tables, outcome.metrics, outcome.metadata
    result_store.save(
        runtime.engine, runtime.settings, claim, tables, metrics=metrics, metadata=metadata, on_step=on_step
    )


def _hand_back(runtime: Runtime, claim: Claim) -> None:
    """The worker was told to stop, which is no fault of the backtest: the attempt does not count."""
    with session_scope(runtime.engine) as session:
        backtests.release(session, claim, reason="the worker was told to stop", excused=True)
    _send_again(runtime, claim)


def _failed(runtime: Runtime, claim: Claim, error: Exception) -> None:
    code, message, permanent = describe(error)
    final = permanent or claim.tries >= MAX_ATTEMPTS
    delay = 0.0 if final else backoff(claim.tries)
    trace = None if permanent else error
    log.error("attempt failed", code=code, final=final, again_in_seconds=delay, reason=message, exc_info=trace)
    end = partial(_end_attempt, runtime, claim, code, message, None if final else timedelta(seconds=delay))
    patiently(end, stopping=runtime.stopping, seconds=SAVE_PATIENCE)
    if not final:
        _send_again(runtime, claim, delay_seconds=delay)
        return
    count_failed(runtime.broker, code)
    if not permanent:
        _bury(runtime, claim, code, message, error)


def _end_attempt(runtime: Runtime, claim: Claim, code: str, message: str, delay: timedelta | None) -> None:
    with session_scope(runtime.engine) as session:
        if delay is None:
            backtests.fail(session, claim, code=code, message=message)
        else:
            backtests.release(session, claim, reason=f"{code}: {message}", delay=delay)


def _send_again(runtime: Runtime, claim: Claim, *, delay_seconds: float = 0.0) -> None:
    try:
        send_backtest(runtime.broker, claim.task_id, delay_seconds=delay_seconds)
    except BrokerDown as error:
        log.warning("the clock will send it", error=str(error))


def _bury(runtime: Runtime, claim: Claim, code: str, message: str, error: Exception) -> None:
    trace = "".join(traceback.format_exception(error, limit=-30))
    said = partial(bury, runtime.broker, claim.task_id, code=code, reason=message, traceback=trace)
    try:
        said(attempt=claim.attempt, worker=claim.worker)
    except BrokerDown as down:
        log.warning("no dead letter, the row says what happened", error=str(down))
