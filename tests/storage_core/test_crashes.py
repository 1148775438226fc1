"""kill -9 at every step of a save, and at any moment: no result is lost, none is torn, nothing stays behind."""

import random
import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from storage_core import backtests, manifest, result_files, result_folders, result_store
from storage_core.backtests import Claim
from storage_core.db import session_scope, utc_now
from storage_core.models import Backtest
from storage_core.reconcile import reconcile
from storage_core.result_root import result_root
from storage_core.result_store import STEPS, ResultTables
from storage_core.settings import Settings
from tests.storage_core.crashing import MORE_TABLES, TABLES, started
from tests.storage_core.examples import METADATA, METRICS, claimed, kinds, many_claimed, row, same_bits

BEFORE_THE_MOVE = STEPS[: STEPS.index("moved")]
KILLS = 200
UNDISTURBED = 20


@pytest.mark.parametrize("step", STEPS)
def test_killed_after_a_step_and_run_again(engine: Engine, settings: Settings, step: str) -> None:
    claim = claimed(engine)
    _kill(settings, claim, step)
    if step == "committed":
        assert row(engine, claim.task_id).status == "completed"
    else:
        assert row(engine, claim.task_id).status == "running"
        assert row(engine, claim.task_id).parquet_path is None
        again = _taken_back(engine, claim)
        result_store.save(engine, settings, again, TABLES, metrics=METRICS, metadata=METADATA)
    _assert_whole(engine, settings, claim)
    reconcile(engine, settings, now=utc_now() + timedelta(minutes=1))
    _assert_no_orphans(engine, settings, [claim])
    _assert_whole(engine, settings, claim)


@pytest.mark.parametrize("step", STEPS)
def test_killed_after_a_step_and_reconciled(engine: Engine, settings: Settings, step: str) -> None:
    claim = claimed(engine)
    _kill(settings, claim, step)
    assert not reconcile(engine, settings).changed, "its heart may still beat"
    later = utc_now() + timedelta(minutes=1)
    planned = reconcile(engine, settings, now=later, dry_run=True)
    done = reconcile(engine, settings, now=later)
    assert planned == done
    if step in BEFORE_THE_MOVE:
        assert (len(done.staging_removed), done.adopted) == (1, [])
        assert row(engine, claim.task_id).status == "running"
    elif step == "committed":
        assert not done.changed
        _assert_whole(engine, settings, claim)
    else:
        assert done.adopted == [claim.task_id]
        _assert_whole(engine, settings, claim)
        assert kinds(engine, claim.task_id)[-1] == "adopted"
    _assert_no_orphans(engine, settings, [claim] if step not in BEFORE_THE_MOVE else [])
    assert not reconcile(engine, settings, now=later, deep=True).changed, "a second time finds nothing to do"


def test_two_crashes_leave_two_folders_and_the_newest_is_adopted(engine: Engine, settings: Settings) -> None:
    first = claimed(engine)
    _kill(settings, first, "flushed")
    second = _taken_back(engine, first)
    _kill(settings, second, "written")
    report = reconcile(engine, settings, now=utc_now() + timedelta(minutes=1))
    assert report.adopted == [first.task_id]
    assert report.trashed == {f"{first.task_id}": "its row names another revision"}
    assert row(engine, first.task_id).parquet_path == f"backtests/{first.task_id}.r2/"
    _assert_whole(engine, settings, first)


def test_a_silent_attempt_that_wakes_up_after_its_folder_was_adopted_keeps_it(
    engine: Engine, settings: Settings
) -> None:
    claim = claimed(engine)

    def fall_silent(step: str) -> None:
        if step == "flushed":
            assert reconcile(engine, settings, now=utc_now() + timedelta(minutes=1)).adopted == [claim.task_id]

    result_store.save(engine, settings, claim, TABLES, metrics=METRICS, metadata=METADATA, on_step=fall_silent)
    _assert_whole(engine, settings, claim)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_people_changed_meanwhile_is_kept_when_a_folder_is_adopted(engine: Engine, settings: Settings) -> None:
    claim = claimed(engine)
    _kill(settings, claim, "flushed")
    changed = {"note": "look here", "tags": ["good"], "pinned": True, "shared": True}
    with session_scope(engine) as session:
        mine = session.get_one(Backtest, claim.task_id)
        for name, value in changed.items():
            setattr(mine, name, value)
    assert reconcile(engine, settings, now=utc_now() + timedelta(minutes=1)).adopted == [claim.task_id]
    kept = row(engine, claim.task_id)
    assert {name: getattr(kept, name) for name in changed} == changed
    assert (kept.status, kept.error_code) == ("completed", None)
    _assert_whole(engine, settings, claim)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_killed_at_any_moment(engine: Engine, settings: Settings) -> None:
    moments, longest = random.Random(), 0.0  # noqa: S311
    claims = many_claimed(engine, 2 * KILLS)
    for kill in range(KILLS):
        started_at = time.perf_counter()
        worker = started(settings, *claims[2 * kill : 2 * kill + 2])
        if kill % UNDISTURBED:
            time.sleep(moments.uniform(0, longest))
            worker.kill()
        worker.join()
        worker.close()
        if not kill % UNDISTURBED:  # how long it takes on this machine at this time
            longest = time.perf_counter() - started_at
    acknowledged = [claim for claim in claims if row(engine, claim.task_id).status == "completed"]
    for claim in acknowledged:
        _assert_whole(engine, settings, claim, MORE_TABLES)
    report = reconcile(engine, settings, now=utc_now() + timedelta(minutes=1))
    assert report.adopted or report.staging_removed, "the kills must fall into the saves"
    assert not report.damaged
    assert not report.trashed
    adopted = [claim for claim in claims if claim.task_id in report.adopted]
    for claim in adopted:
        _assert_whole(engine, settings, claim, MORE_TABLES)
    completed = [claim for claim in claims if row(engine, claim.task_id).status == "completed"]
    assert len(completed) == len(acknowledged) + len(adopted)
    _assert_no_orphans(engine, settings, completed)


def _kill(settings: Settings, claim: Claim, step: str) -> None:
    worker = started(settings, claim, step=step)
    worker.join()
    assert worker.exitcode == -9
    worker.close()


def _taken_back(engine: Engine, claim: Claim) -> Claim:
    with session_scope(engine) as session:
        assert backtests.requeue_lost(session, now=utc_now() + timedelta(minutes=1)) == [claim.task_id]
    return claimed(engine, claim.task_id)


def _assert_whole(engine: Engine, settings: Settings, claim: Claim, saved: ResultTables = TABLES) -> None:
    """The row is completed and its files are those that were saved, bit for bit, with a manifest that agrees."""
    stored = row(engine, claim.task_id)
    assert (stored.status, stored.sharpe, stored.record_count) == ("completed", 1.25, len(saved.symbol_signals))
    folder = result_root(settings).of_row(stored).path
    values, files = manifest.load(folder)
    result_files.verify(folder, files)
    assert values["metadata_"] == stored.metadata_
    assert (values["finished_at"], values["parquet_path"]) == (stored.finished_at, stored.parquet_path)
    for name, table in saved.by_name().items():
        assert same_bits(result_store.read_table(settings, stored, name), table)


def _assert_no_orphans(engine: Engine, settings: Settings, claims: list[Claim]) -> None:
    named = {row(engine, claim.task_id).parquet_path for claim in claims}
    folders, foreign = result_folders.result_folders(settings.results_dir)
    assert {folder.parquet_path for folder in folders} == named
    assert foreign == []
    staging = settings.results_dir / result_folders.STAGING
    assert list(staging.iterdir() if staging.is_dir() else Path().glob("none")) == []
