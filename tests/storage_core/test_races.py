"""Several hands on one row: exactly one wins, and the loser knows it."""

import threading
from collections import Counter
from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import Engine

from storage_core import backtests, result_store
from storage_core.db import make_engine, session_scope, utc_now
from storage_core.errors import ClaimLost, NotCancellable
from storage_core.settings import Settings
from tests.storage_core.at_once import together
from tests.storage_core.crashing import processes
from tests.storage_core.examples import METADATA, METRICS, claimed, kinds, many_queued, queued, row, tables

ROUNDS = 30


def test_threads_that_claim_one_row(engine: Engine) -> None:
    for task_id in many_queued(engine, ROUNDS):
        winners: list[backtests.Claim | None] = []
        together(*[lambda: winners.append(_claim(engine, task_id))] * 4)  # noqa: B023
        assert len(winners) == 4
        assert sum(winner is not None for winner in winners) == 1
        assert kinds(engine, task_id) == ["submitted", "claimed"]


def test_processes_that_claim_the_same_rows(engine: Engine) -> None:
    task_ids = many_queued(engine, ROUNDS)
    with processes.Pool(3) as pool:
        answers = pool.starmap(_claim_all, [(engine.url.render_as_string(hide_password=False), task_ids)] * 3)
        pool.close()
        pool.join()
    taken = Counter(task_id for answer in answers for task_id in answer)
    assert taken == Counter(task_ids)


def test_cancel_against_finish(engine: Engine) -> None:
    """One of the two: completed, or asked to stop in time (and completed all the same, as the worker did not look)."""
    for _ in range(ROUNDS):
        claim = claimed(engine)
        outcomes: list[str] = []
        together(lambda: outcomes.append(_cancel(engine, claim)), lambda: outcomes.append(_finish(engine, claim)))  # noqa: B023
        assert sorted(outcomes) in (["asked", "finished"], ["finished", "too late"])
        assert row(engine, claim.task_id).status == "completed"
        assert kinds(engine, claim.task_id).count("completed") == 1


def test_cancel_against_claim(engine: Engine) -> None:
    """Whoever is first: cancelled and never claimed, or claimed and asked to stop."""
    for task_id in many_queued(engine, ROUNDS):
        claims: list[backtests.Claim | None] = []
        together(
            lambda: claims.append(_claim(engine, task_id)),  # noqa: B023
            lambda: _in_scope(engine, lambda session: backtests.cancel(session, task_id, by="kim")),  # noqa: B023
        )
        stored = row(engine, task_id)
        assert stored.status == ("cancelled" if claims == [None] else "running")
        assert stored.cancel_requested_at is not None


def test_two_saves_of_one_claim(engine: Engine, settings: Settings) -> None:
    """Two processes that both believe in the claim: one result, one clear error, no folder left over."""
    saved = tables(200)
    for _ in range(8):
        claim = claimed(engine)
        outcomes: list[str] = []

        def save(claim: backtests.Claim = claim, outcomes: list[str] = outcomes) -> None:
            try:
                result_store.save(engine, settings, claim, saved, metrics=METRICS, metadata=METADATA)
                outcomes.append("saved")
            except ClaimLost:
                outcomes.append("lost")

        together(save, save)
        assert sorted(outcomes) == ["lost", "saved"]
        stored = row(engine, claim.task_id)
        assert result_store.read_table(settings, stored, "symbol_signals").num_rows == 200
        folders = settings.results_dir.glob(f"backtests/{claim.task_id}*")
        assert [f"backtests/{folder.name}/" for folder in folders] == [stored.parquet_path]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_readers_never_wait_for_a_writer(engine: Engine) -> None:
    task_id = queued(engine)
    with session_scope(engine) as writer:
        backtests.claim(writer, task_id, worker="slow")
        assert row(engine, task_id).status == "queued", "read while the other transaction is open"
    assert row(engine, task_id).status == "running"


def _claim(engine: Engine, task_id: UUID) -> backtests.Claim | None:
    with session_scope(engine) as session:
        return backtests.claim(session, task_id, worker=threading.current_thread().name)


def _claim_all(database_url: str, task_ids: list[UUID]) -> list[UUID]:
    engine = make_engine(database_url)
    taken = [task_id for task_id in task_ids if _claim(engine, task_id) is not None]
    engine.dispose()
    return taken


def _cancel(engine: Engine, claim: backtests.Claim) -> str:
    try:
        _in_scope(engine, lambda session: backtests.cancel(session, claim.task_id, by="kim"))
    except NotCancellable:
        return "too late"
    return "asked"


def _finish(engine: Engine, claim: backtests.Claim) -> str:
    _in_scope(engine, lambda session: backtests.finish(session, claim, backtests.completion(utc_now())))
    return "finished"


def _in_scope(engine: Engine, act: Callable[..., object]) -> None:
    with session_scope(engine) as session:
        act(session)
