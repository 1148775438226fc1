"""Two at work on one result, each at the moment that hurts the other most: nothing is lost, nothing is told wrongly."""

import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from storage_core import (
    alerts,
    backtest_bulk,
    backtest_keeping,
    backtests,
    chosen,
    idempotency,
    jobs,
    presets,
    reconcile,
    result_folders,
    result_store,
    saved_views,
    schedules,
)
from storage_core.accounts import create_user
from storage_core.backtest_keeping import ACTIVE_SYMBOLS
from storage_core.db import session_scope, utc_now
from storage_core.models import Backtest, Preset, SavedView
from storage_core.repair import repair
from storage_core.settings import Settings
from tests.storage_core.at_once import just_after, together
from tests.storage_core.examples import claimed, kinds, many_queued, row, same_bits, spec
from tests.storage_core.sound import saved, sound_tables

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ROUNDS = 15


def in_mode(settings: Settings, mode: str) -> Settings:
    return replace(settings, result_storage_mode=mode)


@SQLITE
def test_who_has_read_the_row_still_reads_the_result_that_went_to_the_trash(engine: Engine, settings: Settings) -> None:
    task_id = saved(engine, settings)
    seen = row(engine, task_id)
    repair(engine, in_mode(settings, "dual-write"))
    assert reconcile.reconcile(engine, settings).trashed
    assert not (settings.results_dir / str(seen.parquet_path)).exists()
    for name, table in sound_tables().by_name().items():
        assert same_bits(result_store.read_table(settings, seen, name), table)


@SQLITE
def test_the_name_of_a_result_is_never_given_to_another(engine: Engine, settings: Settings) -> None:
    """A reader, or a backup, that knows an old name must not find other contents there."""
    task_id = saved(engine, settings)
    names = [row(engine, task_id).parquet_path]
    for mode in ("json-only", "parquet-only", "json-only"):
        repair(engine, in_mode(settings, mode), remove_other=True)
        reconcile.reconcile(engine, settings)
        names.append(row(engine, task_id).parquet_path)
    assert len(set(names)) == 4


@SQLITE
def test_a_result_that_is_replaced_while_it_is_looked_at_is_not_called_damaged(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = saved(engine, settings)
    rows_of = reconcile._completed

    def replaced_before_they_are_looked_at(engine: Engine) -> Iterator[Backtest]:
        rows = list(rows_of(engine))
        old = row(engine, task_id)
        repair(engine, in_mode(settings, "json-only"), remove_other=True)
        result_folders.to_trash(settings.results_dir, settings.results_dir / str(old.parquet_path))
        yield from rows

    monkeypatch.setattr(reconcile, "_completed", replaced_before_they_are_looked_at)
    assert reconcile.reconcile(engine, settings).damaged == {}


@SQLITE
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_result_that_another_repair_was_faster_with_is_no_failure(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    task_id = saved(engine, settings)
    old, wanted, walk = row(engine, task_id), in_mode(settings, "json-only"), chosen.walk

    def overtaken(engine: Engine, choice: chosen.Choice) -> Iterator[Backtest]:
        rows = list(walk(engine, choice))
        with monkeypatch.context() as other:
            other.setattr(chosen, "walk", walk)
            repair(engine, wanted, remove_other=True)
        result_folders.to_trash(settings.results_dir, settings.results_dir / str(old.parquet_path))
        yield from rows

    monkeypatch.setattr(chosen, "walk", overtaken)
    report = repair(engine, wanted, remove_other=True, dry_run=dry_run)
    assert (report.checked, report.repaired, report.failed) == (1, {}, {})


@SQLITE
def test_a_purge_goes_on_when_somebody_else_puts_a_folder_away(engine: Engine, settings: Settings) -> None:
    task_ids = [saved(engine, settings) for _ in range(2)]
    long_ago = utc_now() - timedelta(days=8)
    with session_scope(engine) as session:
        for task_id in task_ids:
            backtest_keeping.delete(session, task_id, by="kim", now=long_ago)

    def put_away_the_other(step: str) -> None:
        for folder in result_folders.result_folders(settings.results_dir)[0] if step == "gone" else ():
            result_folders.to_trash(settings.results_dir, folder.path)

    gone = backtest_keeping.purge(engine, settings, on_step=put_away_the_other)
    assert sorted(gone) == sorted(task_ids)


def test_symbols_that_are_chosen_while_a_result_is_repaired_stay_chosen(engine: Engine, settings: Settings) -> None:
    task_id = saved(engine, settings, symbols=["KRW-BTC", "KRW-ETH"])

    def choose(step: str) -> None:
        if step == "moved":
            with session_scope(engine) as session:
                backtest_keeping.choose_symbols(session, task_id, ["KRW-ETH"], {"sharpe": 2.0})

    report = repair(engine, in_mode(settings, "json-only"), remove_other=True, on_step=choose)
    assert list(report.repaired) == [task_id]
    stored = row(engine, task_id)
    assert backtest_keeping.active_symbols(stored) == ["KRW-ETH"]
    assert stored.metadata_[ACTIVE_SYMBOLS]["metrics"] == {"sharpe": 2.0}
    assert set(stored.metadata_["files"]) == {"result", "manifest"}


def test_symbols_that_all_count_again_while_a_result_is_repaired_all_count(engine: Engine, settings: Settings) -> None:
    symbols = ["KRW-BTC", "KRW-ETH"]
    task_id = saved(engine, settings, symbols=symbols)

    def choose(*wanted: str) -> None:
        with session_scope(engine) as session:
            backtest_keeping.choose_symbols(session, task_id, wanted, {})

    choose("KRW-ETH")
    repair(engine, in_mode(settings, "dual-write"), on_step=lambda step: choose(*symbols) if step == "moved" else None)
    assert backtest_keeping.active_symbols(row(engine, task_id)) == symbols


def test_choosing_symbols_and_repairing_at_once_leaves_a_sound_result(engine: Engine, settings: Settings) -> None:
    """What is noted of the files must not come from before the repair."""
    task_id = saved(engine, settings, symbols=["KRW-BTC", "KRW-ETH"])

    def choose() -> None:
        for number in range(ROUNDS):
            with session_scope(engine) as session:
                backtest_keeping.choose_symbols(session, task_id, [f"KRW-{('BTC', 'ETH')[number % 2]}"], {})

    def change_over() -> None:
        for mode in ("json-only", "parquet-only") * 3:
            repair(engine, in_mode(settings, mode), remove_other=True)

    together(choose, change_over)
    stored = row(engine, task_id)
    assert backtest_keeping.active_symbols(stored) == ["KRW-BTC"]
    assert kinds(engine, task_id).count("repaired") == 6
    assert stored.stores == "parquet"
    assert reconcile.reconcile(engine, settings, deep=True).damaged == {}


def test_tags_that_are_added_at_once_are_all_there(engine: Engine) -> None:
    """Also while the same backtests are pinned and deleted: nobody waits for another in a circle."""
    task_ids = many_queued(engine, 12)

    def add(*tags: str) -> None:
        for tag in tags:
            with session_scope(engine) as session:
                backtest_bulk.tag(session, task_ids, owner_id=None, add=[tag])

    def pin_and_delete() -> None:
        for pinned in (True, False) * 4:
            with session_scope(engine) as session:
                backtest_bulk.pin(session, task_ids, owner_id=None, pinned=pinned)
            with session_scope(engine) as session:
                assert not backtest_bulk.delete(session, task_ids, owner_id=None, by="kim"), "they wait in the queue"

    names = [[f"{who}{number}" for number in range(9)] for who in "ab"]
    together(*[lambda tags=tags: add(*tags) for tags in names], pin_and_delete)
    assert [row(engine, task_id).tags for task_id in task_ids] == [sorted([*names[0], *names[1]])] * len(task_ids)


def test_a_name_that_is_saved_twice_at_once_is_one(engine: Engine) -> None:
    """A double click: a preset or a view of that name is replaced, whoever is first."""
    with session_scope(engine) as session:
        owner = create_user(session, name="kim").id

    def save(name: str, number: int) -> None:
        with session_scope(engine) as session:
            presets.save(session, owner_id=owner, name=name, spec={**spec(), "params": {"fast": number}})
        with session_scope(engine) as session:
            saved_views.save(session, owner, name=name, query=f"strategy={number}")

    for _ in range(ROUNDS):
        name = uuid.uuid4().hex[:8]
        together(*[lambda number=number, name=name: save(name, number) for number in range(3)])
    with session_scope(engine) as session:
        assert session.query(Preset).count() == session.query(SavedView).count() == ROUNDS


@SQLITE
def test_what_another_tab_has_deleted_is_not_there(engine: Engine) -> None:
    """It was found a moment ago; then it is changed."""
    with session_scope(engine) as session:
        owner = create_user(session, name="kim").id
        view = saved_views.save(session, owner, name="best", query="sort=-sharpe")
        seen = schedules.create(session, owner_id=owner, name="daily", spec={**spec(), "timezone": "UTC"}, every="day")
    with session_scope(engine) as session:
        schedules.delete(session, schedules.get(session, seen.id, owner_id=owner))
        saved_views.remove(session, owner, view.id)
    with session_scope(engine) as session:
        assert not saved_views.rename(session, owner, view.id, "worst")
        with pytest.raises(schedules.ScheduleNotFound):
            schedules.set_active(session, session.merge(seen, load=False), False)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_two_clocks_that_find_the_same_in_another_order_do_not_wait_in_a_circle(engine: Engine) -> None:
    keys = [f"disk:{number}" for number in range(8)]

    def settle(found: list[str]) -> None:
        for _ in range(ROUNDS):
            with session_scope(engine) as session:
                alerts.settle(session, "disk", {key: alerts.Problem("full") for key in found})

    together(lambda: settle(keys), lambda: settle(keys[::-1]), lambda: settle(keys[::2]))
    with session_scope(engine) as session:
        assert {alert.key for alert in alerts.open_alerts(session)} >= set(keys[::2])


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_repeated_request_whose_first_was_just_refused_takes_its_place(engine: Engine) -> None:
    """The key was there when it was inserted, and is gone when it is read. On SQLite nobody comes in between."""
    with session_scope(engine) as session:
        owner = create_user(session, name="kim").id
    with session_scope(engine) as session:
        first = idempotency.claim(session, owner, "key", "fingerprint")

    def refuse() -> None:
        with session_scope(engine) as session:
            idempotency.forget(session, first)

    with session_scope(engine) as session, just_after(engine, "INSERT INTO idempotency_keys", refuse) as inserted:
        second = idempotency.claim(session, owner, "key", "fingerprint")
    assert inserted
    assert (second.mine, second.task_id == first.task_id) == (True, False)


def test_no_backtest_carries_the_number_of_a_schedule_that_was_deleted_while_it_was_submitted(engine: Engine) -> None:
    """On SQLite a later schedule gets the number, and would show a result that is not its own."""
    with session_scope(engine) as session:
        owner = create_user(session, name="kim").id
        daily = schedules.create(session, owner_id=owner, name="daily", spec={**spec(), "timezone": "UTC"}, every="day")

    def delete() -> None:
        with session_scope(engine) as session:
            schedules.delete(session, schedules.get(session, daily.id, owner_id=owner))

    with ThreadPoolExecutor(1) as pool:
        with session_scope(engine) as session:
            held = schedules.hold(session, daily.id)
            deleted = pool.submit(delete)
            with pytest.raises(TimeoutError):
                deleted.result(timeout=0.3)
            made = backtests.create(session, spec=spec(), owner_id=owner, source="schedule")
            made.schedule_id = held.id
        deleted.result()
    assert row(engine, made.task_id).schedule_id is None
    with session_scope(engine) as session, pytest.raises(schedules.ScheduleNotFound):
        schedules.hold(session, daily.id)


@pytest.mark.parametrize("kind", ["backtest", "job"])
def test_who_wants_it_stopped_while_it_is_given_back_has_it_stopped(engine: Engine, kind: str) -> None:
    """The wish comes after the worker has looked for one: what was given back would begin again first."""
    held = running(engine, kind)
    with ThreadPoolExecutor(1) as pool:
        wish: list[Future[None]] = []

        def ask() -> None:
            wish.append(pool.submit(held.cancel))
            wait(wish, timeout=0.3)  # it may have to wait until all is written

        with session_scope(engine) as session, just_after(engine, "UPDATE", ask):
            held.release(session)
        wish[0].result()
    assert held.status() == "cancelled"


@pytest.mark.parametrize("kind", ["backtest", "job"])
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_who_wants_it_stopped_while_it_is_taken_from_a_silent_worker_has_it_stopped(engine: Engine, kind: str) -> None:
    held, later = running(engine, kind), utc_now() + timedelta(minutes=1)
    with session_scope(engine) as session, just_after(engine, "UPDATE", held.cancel):
        assert held.owner.requeue_lost(session, now=later) == []
    assert held.status() == "cancelled"


@dataclass(frozen=True)
class Held:
    """A backtest or a job that this test runs."""

    engine: Engine
    claim: Any
    owner: Any

    @property
    def id(self) -> uuid.UUID:
        found: uuid.UUID = self.claim.job_id if self.owner is jobs else self.claim.task_id
        return found

    def cancel(self) -> None:
        with session_scope(self.engine) as session:
            self.owner.cancel(session, self.id, **({} if self.owner is jobs else {"by": "kim"}))

    def release(self, session: Session) -> None:
        why = {"code": "busy", "message": "busy"} if self.owner is jobs else {"reason": "busy"}
        self.owner.release(session, self.claim, **why)

    def status(self) -> str:
        with session_scope(self.engine) as session:
            return str(self.owner.get(session, self.id).status)


def running(engine: Engine, kind: str) -> Held:
    """One of that kind."""
    if kind == "backtest":
        return Held(engine, claimed(engine), backtests)
    with session_scope(engine) as session:
        jobs.create(session, kind="fetch_bars", args={})
    with session_scope(engine) as session:
        return Held(engine, jobs.claim_next(session, worker="test"), jobs)


def test_what_was_deleted_in_another_tab_is_not_run_again(engine: Engine) -> None:
    """It would take a worker's time, and nobody would see what came of it."""
    claim = claimed(engine)
    with session_scope(engine) as session:
        backtests.fail(session, claim, code="internal_error", message="the run broke")
        backtest_keeping.delete(session, claim.task_id, by="kim")
    with session_scope(engine) as session:
        assert not backtests.revive(session, claim.task_id, by="ada")
        backtest_keeping.restore(session, claim.task_id, by="kim")
        assert backtests.revive(session, claim.task_id, by="ada")
