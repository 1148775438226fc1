"""`repair-results`: after a switch of the mode, or a failure of one side, every result is what the mode asks for."""

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise, permutations

import pytest
from sqlalchemy import Engine

from storage_core import modes, result_store, stores
from storage_core.backtest_keeping import delete
from storage_core.db import session_scope, utc_now
from storage_core.errors import ResultMissing
from storage_core.manifest import MANIFEST
from storage_core.modes import DUAL_WRITE, JSON_ONLY, MODES, PARQUET_ONLY
from storage_core.reconcile import reconcile
from storage_core.repair import repair
from storage_core.result_root import result_root
from storage_core.settings import Settings
from tests.storage_core.crashing import repairing
from tests.storage_core.examples import claimed, kinds, many_claimed, row, tables
from tests.storage_core.test_modes import SQLITE, TWO, assert_read_back, folder_of, in_mode, saved
from webapp import create_console

MADE = tables(200, symbols=TWO)
SWITCHES = list(permutations(MODES, 2))


def assert_settled(engine: Engine, settings: Settings) -> None:
    """What is behind a repair goes with the next reconcile; a second repair finds nothing to do."""
    reconcile(engine, settings, now=utc_now() + timedelta(minutes=1))
    again = reconcile(engine, settings, deep=True)
    assert (again.changed, again.damaged, again.busy) == (False, {}, [])
    second = repair(engine, settings, deep=True)
    assert (second.repaired, second.failed) == ({}, {})


@pytest.mark.parametrize(("before", "after"), SWITCHES)
def test_after_a_switch(engine: Engine, settings: Settings, before: str, after: str) -> None:
    old, new = in_mode(settings, before), in_mode(settings, after)
    stored = saved(engine, old, MADE)
    misses = [side for side in MODES[after] if side not in MODES[before]]
    with session_scope(engine) as session:
        assert stores.missing(session, after) == {side: int(side in misses) for side in MODES[after]}
    planned, done = repair(engine, new, dry_run=True), repair(engine, new)
    assert (planned.repaired, planned.checked, planned.failed) == (done.repaired, 1, {})
    fixed = row(engine, stored.task_id)
    if not misses:
        assert (done.repaired, fixed.parquet_path) == ({}, stored.parquet_path)
    else:
        source = "parquet" if before == PARQUET_ONLY else "json"
        assert done.repaired == {stored.task_id: f"{misses[0]} written from {source}"}
        assert (fixed.stores, fixed.revision, kinds(engine, stored.task_id)[-1]) == ("json+parquet", 2, "repaired")
        assert_read_back(old, stored, MADE)
    assert {k: v for k, v in fixed.metadata_.items() if k != "files"}["metrics"] == stored.metadata_["metrics"]
    assert (fixed.record_count, fixed.sharpe, fixed.finished_at) == (200, stored.sharpe, stored.finished_at)
    assert fixed.file_size == sum(facts["bytes"] for facts in fixed.metadata_["files"].values())
    with session_scope(engine) as session:
        assert stores.missing(session, after) == dict.fromkeys(MODES[after], 0)
    assert_settled(engine, new)
    for settings_now in (old, new):
        assert_read_back(settings_now, row(engine, stored.task_id), MADE)


@pytest.mark.parametrize(("before", "after"), SWITCHES)
def test_the_other_form_goes_only_when_asked(engine: Engine, settings: Settings, before: str, after: str) -> None:
    stored = saved(engine, in_mode(settings, before), MADE)
    new = in_mode(settings, after)
    assert repair(engine, new, remove_other=True).failed == {}
    fixed = row(engine, stored.task_id)
    assert fixed.stores == modes.named(MODES[after])
    assert ("compression" in fixed.metadata_) == ("parquet" in MODES[after])
    assert_read_back(new, fixed, MADE)
    assert_settled(engine, new)


@SQLITE
def test_forward_and_back_many_times(engine: Engine, settings: Settings) -> None:
    stored = saved(engine, settings, MADE)
    way = [PARQUET_ONLY, DUAL_WRITE, JSON_ONLY, PARQUET_ONLY, JSON_ONLY, DUAL_WRITE, PARQUET_ONLY]
    for _, mode in pairwise(way):
        assert repair(engine, in_mode(settings, mode), remove_other=True).failed == {}
        assert row(engine, stored.task_id).stores == modes.named(MODES[mode])
    assert_read_back(settings, row(engine, stored.task_id), MADE)
    assert_settled(engine, settings)


@pytest.mark.parametrize("side", modes.SIDES)
def test_a_damaged_side_is_written_again_from_the_other(engine: Engine, settings: Settings, side: str) -> None:
    settings = in_mode(settings, DUAL_WRITE)
    stored = saved(engine, settings, MADE)
    path = folder_of(settings, stored) / modes.file_name(modes.FILES[side][-1])
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    assert repair(engine, settings).repaired == {}, "a flipped bit is seen only by a look at the contents"
    assert list(repair(engine, settings, deep=True).repaired) == [stored.task_id]
    assert_read_back(settings, row(engine, stored.task_id), MADE)
    assert_settled(engine, settings)


@SQLITE
def test_what_a_failing_parquet_side_left_out_is_repaired(engine: Engine, settings: Settings) -> None:
    settings, claim = in_mode(settings, DUAL_WRITE), claimed(engine)

    def in_the_way(step: str) -> None:
        if step == "begun":
            staging = next((settings.results_dir / ".staging").iterdir())
            (staging / "symbol_signals.parquet").symlink_to("nowhere/at/all")

    result_store.save(engine, settings, claim, MADE, metrics={}, metadata={}, on_step=in_the_way)
    assert "missing" in row(engine, claim.task_id).metadata_
    assert list(repair(engine, settings).repaired) == [claim.task_id]
    fixed = row(engine, claim.task_id)
    assert ("missing" in fixed.metadata_, fixed.stores) == (False, "json+parquet")
    assert_settled(engine, settings)


@SQLITE
def test_what_is_lost_is_named_and_the_others_are_repaired(engine: Engine, settings: Settings) -> None:
    lost, kept = (saved(engine, settings, MADE) for _ in range(2))
    shutil.rmtree(folder_of(settings, lost))
    report = repair(engine, in_mode(settings, DUAL_WRITE))
    assert (list(report.repaired), list(report.failed)) == ([kept.task_id], [lost.task_id])
    assert "does not exist" in report.failed[lost.task_id]
    assert row(engine, lost.task_id).parquet_path == lost.parquet_path
    assert json.loads(json.dumps(report.as_dict()))["failed"] == 1


@SQLITE
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("deep", [False, True], ids=["gone", "torn"])
def test_a_manifest_that_is_lost_is_written_from_the_row(
    engine: Engine, settings: Settings, mode: str, deep: bool
) -> None:
    """The row could not be written again from the folder, should the database lose it."""
    settings = in_mode(settings, mode)
    stored, other = saved(engine, settings, MADE), saved(engine, settings, MADE)
    path = folder_of(settings, stored) / MANIFEST
    path.write_bytes(path.read_bytes()[:-100]) if deep else path.unlink()
    assert list(reconcile(engine, settings, deep=deep).damaged) == [stored.task_id]
    planned, done = repair(engine, settings, deep=deep, dry_run=True), repair(engine, settings, deep=deep)
    assert done.repaired == planned.repaired == {stored.task_id: "metadata.json written from the row"}
    fixed = row(engine, stored.task_id)
    assert (fixed.revision, fixed.stores, fixed.metadata_["files"]) == (2, stored.stores, stored.metadata_["files"])
    assert row(engine, other.task_id).revision == 1
    assert_read_back(settings, fixed, MADE)
    assert result_root(settings).manifest(result_root(settings).of_row(fixed))[1] == fixed.metadata_["files"]
    assert_settled(engine, settings)


def test_a_deleted_result_is_left_alone(engine: Engine, settings: Settings) -> None:
    stored = saved(engine, settings, MADE)

    def deleted_meanwhile(step: str) -> None:
        if step == "flushed":
            with session_scope(engine) as session:
                delete(session, stored.task_id, by="test")

    assert repair(engine, in_mode(settings, DUAL_WRITE), on_step=deleted_meanwhile).repaired == {}
    assert row(engine, stored.task_id).parquet_path == stored.parquet_path
    assert [path.name for path in folder_of(settings, stored).parent.iterdir()] == [str(stored.task_id)]
    assert repair(engine, in_mode(settings, DUAL_WRITE)).checked == 0


STEPS = ("begun", "copied result", "symbol_signals", "manifest", "staged", "moved", "flushed", "written", "committed")


@pytest.mark.parametrize("step", STEPS)
def test_killed_after_a_step_and_run_again(engine: Engine, settings: Settings, step: str) -> None:
    stored = saved(engine, in_mode(settings, JSON_ONLY), MADE)
    settings = in_mode(settings, PARQUET_ONLY)
    worker = repairing(settings, step)
    worker.join()
    assert worker.exitcode == -9
    worker.close()
    assert_read_back(settings, row(engine, stored.task_id), MADE)
    assert list(repair(engine, settings).repaired) == ([] if step == "committed" else [stored.task_id])
    assert row(engine, stored.task_id).stores == "json+parquet"
    assert_read_back(settings, row(engine, stored.task_id), MADE)
    assert_settled(engine, settings)
    assert len(list(folder_of(settings, stored).parent.iterdir())) == 1


class Bustle:
    """Workers that save in changing modes while repairs, a reconcile and a reader run all along."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine, self.settings, self.stop = engine, settings, threading.Event()
        self.claims, self.made, self.problems = many_claimed(engine, 16), {}, []

    def save(self, worker: int) -> None:
        for number, claim in enumerate(self.claims[worker::2]):
            self.made[claim.task_id] = tables(150, symbols=TWO, seed=worker * 100 + number)
            mode = list(MODES)[number % 3]
            saved(self.engine, in_mode(self.settings, mode), self.made[claim.task_id], claim)

    def repair(self, mode: str) -> None:
        while not self.stop.is_set():
            self.problems += repair(self.engine, in_mode(self.settings, mode)).failed.values()

    def reconcile(self) -> None:
        while not self.stop.wait(0.05):
            self.problems += reconcile(self.engine, self.settings).damaged.values()

    def read(self) -> None:
        """As a page does it: a revision that was put away between the two looks is looked up once more."""
        while not self.stop.is_set():
            for task_id, expected in list(self.made.items()):
                stored = row(self.engine, task_id)
                if stored.status == "completed":
                    try:
                        assert_read_back(self.settings, stored, expected)
                    except ResultMissing:
                        assert_read_back(self.settings, row(self.engine, task_id), expected)


def test_repairs_switches_and_saves_at_the_same_time(engine: Engine, settings: Settings) -> None:
    """What a look at a revision that has just been put away says is no loss; anything else would be one."""
    bustle = Bustle(engine, settings)
    with ThreadPoolExecutor(6) as pool:
        others = [pool.submit(bustle.repair, mode) for mode in (DUAL_WRITE, JSON_ONLY)]
        others += [pool.submit(bustle.reconcile), pool.submit(bustle.read)]
        try:
            list(pool.map(bustle.save, range(2)))
        finally:
            bustle.stop.set()
        for other in others:
            other.result()
    final = in_mode(settings, DUAL_WRITE)
    assert repair(engine, final).failed == {}
    for claim in bustle.claims:
        stored = row(engine, claim.task_id)
        assert (stored.status, stored.stores) == ("completed", "json+parquet")
        assert_read_back(final, stored, bustle.made[claim.task_id])
    assert_settled(engine, final)
    assert [problem for problem in bustle.problems if "does not exist" not in problem] == []


@SQLITE
def test_the_command(engine: Engine, settings: Settings) -> None:
    stored = saved(engine, in_mode(settings, JSON_ONLY), MADE)
    flask = create_console(replace(settings)).test_cli_runner()
    planned = flask.invoke(args=["repair-results", "--dry-run"])
    assert (planned.exit_code, planned.stdout.split()[:2]) == (0, ["1", "checked,"])
    assert "1 would be repaired" in planned.stdout
    assert f"{stored.task_id}: parquet written from json" in planned.stdout
    done = flask.invoke(args=["repair-results", "--json"])
    assert json.loads(done.stdout)["repaired"] == {str(stored.task_id): "parquet written from json"}
    shutil.rmtree(folder_of(settings, row(engine, stored.task_id)))
    lost = flask.invoke(args=["repair-results", "--deep"])
    assert (lost.exit_code, "does not exist" in lost.stderr) == (1, True)
