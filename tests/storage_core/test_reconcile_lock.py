"""Reconciling looks at everything without a lock, and decides about the few odd folders one at a time under it."""

import threading
import uuid
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from storage_core import result_folders, result_import, result_store
from storage_core.db import utc_now
from storage_core.reconcile import Report, reconcile
from storage_core.settings import Settings
from tests.storage_core.examples import METADATA, METRICS, claimed, queued, row, tables
from tests.storage_core.sound import saved

ROUNDS, AT_ONCE = 12, 4
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@SQLITE
def test_nobody_waits_while_it_looks_at_sound_results(engine: Engine, settings: Settings) -> None:
    for _ in range(3):
        saved(engine, settings)
    reports: list[Report] = []
    looking = threading.Thread(target=lambda: reports.append(reconcile(engine, settings, deep=True)), daemon=True)
    with result_folders.locked(settings.results_dir):
        looking.start()
        looking.join(60)
        assert not looking.is_alive(), "it waits for the lock"
    assert (reports[0].changed, reports[0].damaged) == (False, {})


@SQLITE
def test_a_result_that_gets_its_row_after_the_listing_is_left_alone(engine: Engine, settings: Settings) -> None:
    """Imports move folders in under the lock, then write their rows: what is listed in between is not touched."""
    imported: list[uuid.UUID] = []
    done = threading.Event()

    def import_all() -> None:
        try:
            for _ in range(ROUNDS):
                staged = [_staged(engine, settings) for _ in range(AT_ONCE)]
                imported.extend(result_import.commit(engine, settings, staged, replace=False, actor="test"))
        finally:
            done.set()

    importing = threading.Thread(target=import_all, daemon=True)
    importing.start()
    reports = []
    while not done.is_set():
        reports.append(reconcile(engine, settings, now=utc_now() + timedelta(minutes=1)))
    importing.join(60)
    assert len(imported) == ROUNDS * AT_ONCE
    assert [report for report in reports if report.changed or report.damaged] == []
    assert all(row(engine, task_id).status == "completed" for task_id in imported)
    assert not reconcile(engine, settings, deep=True).damaged


def test_a_folder_that_somebody_put_away_meanwhile_is_not_there_any_more(engine: Engine, settings: Settings) -> None:
    """Two of them at once find the same leftover: one settles it, the other finds nothing."""
    claim = claimed(engine)
    result_store.save(engine, settings, claim, tables(), metrics=METRICS, metadata=METADATA)
    leftover = settings.results_dir / "backtests" / f"{claim.task_id}.r2"
    leftover.mkdir()
    reports: list[Report] = []
    both = [threading.Thread(target=lambda: reports.append(reconcile(engine, settings))) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
    assert sorted(len(report.trashed) for report in reports) == [0, 1]
    assert not leftover.exists()


def _staged(engine: Engine, settings: Settings) -> result_import.Staged:
    """A result that no worker ran, ready to be committed."""
    asked = row(engine, queued(engine))
    kept = ("strategy", "params", "symbols", "start_date", "end_date", "timeframe", "spec")
    columns = {name: getattr(asked, name) for name in kept}
    columns |= {"task_id": uuid.uuid4(), "status": "completed", "source": "legacy", "finished_at": utc_now()}
    return result_import.stage(settings, columns, tables(), metrics=METRICS, metadata=METADATA)
