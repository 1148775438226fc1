"""Notes, tags, pins; deleting, taking it back, and what is gone for good."""

import uuid
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from storage_core import backtest_keeping, backtests, result_folders, result_store
from storage_core.backtest_list import list_page
from storage_core.db import session_scope, utc_now
from storage_core.errors import BacktestNotFound, BadFilter, DiskProblem, NotDeletable, NotRestorable
from storage_core.reconcile import reconcile
from storage_core.settings import Settings
from tests.storage_core.at_once import together
from tests.storage_core.examples import METADATA, METRICS, claimed, kinds, queued, row, tables

WEEK = timedelta(days=7)
LATER = WEEK + timedelta(minutes=1)


@pytest.fixture
def stored(engine: Engine, settings: Settings) -> uuid.UUID:
    """A completed backtest with files."""
    claim = claimed(engine)
    result_store.save(engine, settings, claim, tables(), metrics=METRICS, metadata=METADATA)
    return claim.task_id


def delete(engine: Engine, task_id: uuid.UUID) -> None:
    with session_scope(engine) as session:
        backtest_keeping.delete(session, task_id, by="kim")


def listed(engine: Engine) -> list[uuid.UUID]:
    with session_scope(engine) as session:
        return [row.task_id for row in list_page(session).rows]


def test_notes_tags_and_pins(engine: Engine, stored: uuid.UUID) -> None:
    with session_scope(engine) as session:
        backtest_keeping.annotate(session, stored, note=" good\x00 one ", tags=["b", " a", "b"], pinned=True)
    assert (row(engine, stored).note, row(engine, stored).tags, row(engine, stored).pinned) == (
        "good one",
        ["a", "b"],
        True,
    )
    with session_scope(engine) as session:
        backtest_keeping.annotate(session, stored, tags=[])
    assert (row(engine, stored).note, row(engine, stored).tags) == ("good one", [])
    for bad in ({"note": "x" * 10_001}, {"tags": [""]}, {"tags": ["x" * 41]}, {"tags": ["a\nb"]},
                {"tags": [str(number) for number in range(21)]}):  # fmt: skip
        with session_scope(engine) as session, pytest.raises(BadFilter):
            backtest_keeping.annotate(session, stored, **bad)


def test_deleted_and_taken_back(engine: Engine, settings: Settings, stored: uuid.UUID) -> None:
    delete(engine, stored)
    delete(engine, stored)
    assert listed(engine) == []
    assert backtest_keeping.purge(engine, settings) == []
    with session_scope(engine) as session:
        backtest_keeping.restore(session, stored, by="kim")
        backtest_keeping.restore(session, stored, by="kim")
    assert listed(engine) == [stored]
    assert result_store.read_table(settings, row(engine, stored), "symbol_signals").num_rows == 5
    assert kinds(engine, stored)[-2:] == ["deleted", "restored"]


def test_pinned_or_unfinished_is_not_deleted(engine: Engine, stored: uuid.UUID) -> None:
    with session_scope(engine) as session:
        backtest_keeping.annotate(session, stored, pinned=True)
    for task_id, why in (
        (stored, "it is pinned"),
        (queued(engine), "it is queued"),
        (claimed(engine).task_id, "running"),
    ):
        with pytest.raises(NotDeletable, match=why):
            delete(engine, task_id)
    with pytest.raises(BacktestNotFound):
        delete(engine, uuid.uuid4())


def test_gone_after_a_week(engine: Engine, settings: Settings, stored: uuid.UUID) -> None:
    kept = queued(engine)
    delete(engine, stored)
    now = utc_now() + LATER
    with session_scope(engine) as session, pytest.raises(NotRestorable):
        backtest_keeping.restore(session, stored, by="kim", now=now)
    assert backtest_keeping.purge(engine, settings, now=now, dry_run=True) == [stored]
    assert result_store.read_table(settings, row(engine, stored), "symbol_signals").num_rows == 5
    assert backtest_keeping.purge(engine, settings, now=now) == [stored]
    assert backtest_keeping.purge(engine, settings, now=now) == []
    with session_scope(engine) as session, pytest.raises(BacktestNotFound):
        backtests.get(session, stored)
    assert listed(engine) == [kept]
    report = reconcile(engine, settings, now=now)
    assert (report.adopted, report.damaged) == ([], {}), "what was deleted does not come back"
    assert len(list((settings.results_dir / result_folders.TRASH).iterdir())) == 1
    backtest_keeping.purge(engine, settings, now=now + LATER)
    assert list((settings.results_dir / result_folders.TRASH).iterdir()) == []


def test_a_purge_that_dies_between_the_files_and_the_row_goes_on(
    engine: Engine, settings: Settings, stored: uuid.UUID
) -> None:
    class Crash(Exception):
        pass

    def crash(step: str) -> None:
        assert step == "trashed"
        raise Crash

    delete(engine, stored)
    later = utc_now() + LATER
    with pytest.raises(Crash):
        backtest_keeping.purge(engine, settings, now=later, on_step=crash)
    assert row(engine, stored).deleted_at is not None
    assert listed(engine) == []
    report = reconcile(engine, settings, now=later)
    assert (report.adopted, report.damaged, report.trashed) == ([], {}, {}), "nobody misses what is in the trash"
    assert backtest_keeping.purge(engine, settings, now=later) == [stored]
    with session_scope(engine) as session, pytest.raises(BacktestNotFound):
        backtests.get(session, stored)
    backtest_keeping.purge(engine, settings, now=later + LATER)
    assert list((settings.results_dir / result_folders.TRASH).iterdir()) == []


def test_files_that_cannot_be_moved_keep_their_row(engine: Engine, settings: Settings, stored: uuid.UUID) -> None:
    delete(engine, stored)
    (settings.results_dir / result_folders.TRASH).write_text("in the way")
    with pytest.raises(DiskProblem):
        backtest_keeping.purge(engine, settings, now=utc_now() + LATER)
    assert row(engine, stored).deleted_at is not None
    (settings.results_dir / result_folders.TRASH).unlink()
    assert backtest_keeping.purge(engine, settings, now=utc_now() + LATER) == [stored]


def test_the_symbols_that_count_are_noted_beside_what_was_computed(engine: Engine, settings: Settings) -> None:
    claim = claimed(engine, queued(engine, symbols=["KRW-BTC", "KRW-ETH"]))
    made = tables(6, symbols=("KRW-BTC", "KRW-ETH"))
    result_store.save(engine, settings, claim, made, metrics=METRICS, metadata=METADATA)
    original = row(engine, claim.task_id)
    assert backtest_keeping.active_symbols(original) == ["KRW-BTC", "KRW-ETH"]
    for bad in ([], ["KRW-NONE"]):
        with session_scope(engine) as session, pytest.raises(BadFilter, match="at least one of"):
            backtest_keeping.choose_symbols(session, claim.task_id, bad, {})
    with session_scope(engine) as session:
        backtest_keeping.choose_symbols(session, claim.task_id, ["KRW-ETH"], {"sharpe": 9.0})
    changed = row(engine, claim.task_id)
    assert changed.metadata_["active_symbols"] == {"symbols": ["KRW-ETH"], "metrics": {"sharpe": 9.0}}
    assert backtest_keeping.active_symbols(changed) == ["KRW-ETH"]
    assert {name: changed.metadata_[name] for name in original.metadata_} == original.metadata_
    assert changed.sharpe == original.sharpe
    with session_scope(engine) as session:
        backtest_keeping.choose_symbols(session, claim.task_id, ["KRW-ETH", "KRW-BTC"], {})
    assert row(engine, claim.task_id).metadata_ == original.metadata_


def test_sharing_and_no_longer(engine: Engine, stored: uuid.UUID) -> None:
    for shared in (True, True, False):
        with session_scope(engine) as session:
            backtest_keeping.share(session, stored, shared=shared)
        assert row(engine, stored).shared is shared


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_two_that_empty_the_trash_at_once(settings: Settings) -> None:
    trash = settings.results_dir / ".trash"
    for number in range(60):
        folder = trash / f"{uuid.uuid4()}.{number:010d}"
        folder.mkdir(parents=True)
        for name in "abcd":
            (folder / name).touch()
    together(*[lambda: result_folders.empty_trash(settings.results_dir)] * 4)
    assert list(trash.iterdir()) == []
