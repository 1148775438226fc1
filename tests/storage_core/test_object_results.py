"""Results in S3: two workers that share a database and a bucket but no disk; kill -9 at every step of a save."""

import io
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import Engine

from storage_core import backtests, result_store
from storage_core.backtest_keeping import UNDO_FOR, delete, purge
from storage_core.backtests import Claim
from storage_core.db import session_scope, utc_now
from storage_core.errors import ResultDamaged, ResultMissing
from storage_core.object_errors import NoSuchBucket, StoreUnreachable
from storage_core.object_results import S3ResultRoot
from storage_core.object_s3 import shared_provider
from storage_core.object_store import StorageProvider
from storage_core.reconcile import Report, reconcile
from storage_core.result_root import result_root
from storage_core.result_store import TABLES, ResultTables
from storage_core.settings import Settings
from tests.s3 import SERVERS, emptied, s3_server
from tests.services import free_port
from tests.storage_core.crashing import MORE_TABLES, started
from tests.storage_core.crashing import TABLES as SAVED
from tests.storage_core.examples import METADATA, METRICS, claimed, row, same_bits

SENT = ("sent performance_curve", "sent symbol_signals", "sent symbol_summary", "sent metadata")
BEFORE = ("begun", *TABLES, "manifest", "staged", *SENT[:-1])
AFTER = (SENT[-1], "moved", "flushed", "written")
KILLS = 15
LONGEST_WAIT = 0.6
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_rclone = pytest.mark.parametrize("server", ["rclone"])


@dataclass
class Fleet:
    """Machines that share a database and a bucket."""

    engine: Engine
    settings: Settings
    folder: Path

    def machine(self, name: str) -> Settings:
        """The settings of a machine: a disk of its own."""
        return replace(self.settings, data_dir=self.folder / name)

    @property
    def objects(self) -> S3ResultRoot:
        """The bucket, as it is."""
        root = result_root(self.settings)
        assert isinstance(root, S3ResultRoot)
        return root

    def keys(self) -> set[str]:
        """Everything in the bucket."""
        return {info.key for info in self.objects.provider.list()}

    def save(self, machine: str, claim: Claim, *, on_step: Callable[[str], None] = lambda step: None) -> None:
        """Save the example as that machine."""
        result_store.save(
            self.engine, self.machine(machine), claim, SAVED, metrics=METRICS, metadata=METADATA, on_step=on_step
        )

    def kill(self, machine: str, claim: Claim, step: str) -> None:
        """Save the example as that machine, which dies after `step`."""
        worker = started(self.machine(machine), claim, step=step)
        worker.join()
        assert worker.exitcode == -9
        worker.close()

    def taken_back(self, claim: Claim) -> Claim:
        """The next attempt, once the heart of the last has been silent."""
        with session_scope(self.engine) as session:
            assert backtests.requeue_lost(session, now=utc_now() + timedelta(minutes=1)) == [claim.task_id]
        return claimed(self.engine, claim.task_id)

    def reconcile(self, machine: str, *, deep: bool = False, days: float = 1 / 1440) -> Report:
        """Reconcile from that machine, as if so many days later."""
        return reconcile(self.engine, self.machine(machine), deep=deep, now=utc_now() + timedelta(days=days))

    def assert_whole(self, claim: Claim, *machines: str, saved: ResultTables = SAVED) -> None:
        """The row is completed, and each machine reads what was saved, bit for bit."""
        stored = row(self.engine, claim.task_id)
        assert (stored.status, stored.sharpe, stored.record_count) == ("completed", 1.25, len(saved.symbol_signals))
        for machine in machines:
            for name, table in saved.by_name().items():
                assert same_bits(result_store.read_table(self.machine(machine), stored, name), table)

    def assert_only(self, *claims: Claim) -> None:
        """The bucket holds the results of these rows and nothing else; no machine has anything staged."""
        places = [str(row(self.engine, claim.task_id).parquet_path) for claim in claims]
        files = ("metadata.json", *(f"{name}.parquet" for name in TABLES))
        assert self.keys() == {place + name for place in places for name in files}
        assert list(self.folder.glob("*/results/.staging/*")) == []
        assert list(self.folder.glob("*/results/backtests")) == []


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> str:
    """The name of an S3 server."""
    return str(request.param)


@pytest.fixture(scope="module")
def bucket_of() -> Iterator[Callable[[str], StorageProvider]]:
    """A bucket of each server; connecting takes longer than most tests."""
    with ExitStack() as stack:

        @cache
        def of_server(server: str) -> StorageProvider:
            running = s3_server(server)
            with running.provider() as made:
                return stack.enter_context(shared_provider(made.where, running.access()))

        yield of_server
        shared_provider.cache_clear()


@pytest.fixture
def fleet(
    server: str, bucket_of: Callable[[str], StorageProvider], engine: Engine, settings: Settings, tmp_path: Path
) -> Fleet:
    """A database, an empty bucket, and any number of machines."""
    bucket = emptied(bucket_of(server))
    return Fleet(engine, replace(settings, results_uri=bucket.where, s3=s3_server(server).access()), tmp_path)


def test_one_machine_saves_and_another_reads(fleet: Fleet) -> None:
    claim = claimed(fleet.engine)
    fleet.save("one", claim)
    fleet.assert_whole(claim, "two", "one", "two")
    fleet.assert_only(claim)
    stored = row(fleet.engine, claim.task_id)
    assert stored.parquet_path == f"backtests/{claim.task_id}/"
    one = result_store.read_table(fleet.machine("two"), stored, "symbol_signals", columns=["pnl"], symbol="KRW-BTC")
    assert one.column_names == ["pnl"]
    report = fleet.reconcile("two", deep=True)
    assert (report.changed, report.damaged, report.foreign) == (False, {}, [])


@on_sqlite
@on_rclone
@pytest.mark.parametrize("step", [*BEFORE, *AFTER])
def test_killed_after_a_step_and_run_again_elsewhere(fleet: Fleet, step: str) -> None:
    claim = claimed(fleet.engine)
    fleet.kill("one", claim, step)
    assert row(fleet.engine, claim.task_id).status == "running"
    assert row(fleet.engine, claim.task_id).parquet_path is None
    fleet.save("two", fleet.taken_back(claim))
    fleet.assert_whole(claim, "two", "three")
    fleet.reconcile("two")
    report = fleet.reconcile("one")
    assert bool(report.staging_removed) == (step != "written"), "a killed worker leaves what it staged"
    fleet.reconcile("two", days=8)
    fleet.assert_only(claim)
    fleet.assert_whole(claim, "two", "four")


@on_sqlite
@on_rclone
@pytest.mark.parametrize("step", [*BEFORE, *AFTER])
def test_killed_after_a_step_and_reconciled(fleet: Fleet, step: str) -> None:
    claim = claimed(fleet.engine)
    fleet.kill("one", claim, step)
    assert not reconcile(fleet.engine, fleet.machine("two")).changed, "its heart may still beat"
    report = fleet.reconcile("two")
    if step in AFTER:
        assert report.adopted == [claim.task_id]
        fleet.assert_whole(claim, "two", "three")
    else:
        assert report.adopted == []
        assert len(report.trashed) == (1 if step in SENT else 0)
        assert row(fleet.engine, claim.task_id).status == "running"
    fleet.reconcile("one")
    fleet.reconcile("two", days=8)
    fleet.assert_only(*([claim] if step in AFTER else []))


@on_sqlite
@on_rclone
def test_killed_at_any_moment(fleet: Fleet) -> None:
    moments, claims = random.Random(), []  # noqa: S311
    for _ in range(KILLS):
        two = [claimed(fleet.engine) for _ in range(2)]
        worker = started(fleet.machine("one"), *two)
        time.sleep(moments.uniform(0, LONGEST_WAIT))
        worker.kill()
        worker.join()
        worker.close()
        claims += two
    acknowledged = [claim for claim in claims if row(fleet.engine, claim.task_id).status == "completed"]
    fleet.reconcile("two")
    fleet.reconcile("one")
    report = fleet.reconcile("two", days=8, deep=True)
    assert report.damaged == {}
    completed = [claim for claim in claims if row(fleet.engine, claim.task_id).status == "completed"]
    assert {claim.task_id for claim in acknowledged} <= {claim.task_id for claim in completed}
    for claim in completed:
        fleet.assert_whole(claim, "three", saved=MORE_TABLES)
    fleet.assert_only(*completed)


@on_sqlite
def test_killed_after_the_commit(fleet: Fleet) -> None:
    claim = claimed(fleet.engine)
    fleet.kill("one", claim, "committed")
    fleet.assert_whole(claim, "two")
    assert not fleet.reconcile("two", days=8).changed
    fleet.assert_whole(claim, "three")


@on_sqlite
@on_rclone
def test_a_silent_attempt_that_wakes_up_after_its_result_was_adopted_keeps_it(fleet: Fleet) -> None:
    claim = claimed(fleet.engine)

    def fall_silent(step: str) -> None:
        if step == SENT[-1]:
            assert fleet.reconcile("two").adopted == [claim.task_id]

    fleet.save("one", claim, on_step=fall_silent)
    fleet.assert_whole(claim, "three")
    fleet.reconcile("two", days=8)
    fleet.assert_only(claim)


@on_sqlite
@on_rclone
def test_a_slow_upload_that_was_put_in_the_trash_and_still_commits_is_kept(fleet: Fleet) -> None:
    claim = claimed(fleet.engine)

    def fall_silent(step: str) -> None:
        if step == SENT[1]:
            assert fleet.reconcile("two").trashed == {f"{claim.task_id}": "it is not whole: it does not exist"}

    fleet.save("one", claim, on_step=fall_silent)
    fleet.assert_whole(claim, "three")
    assert fleet.reconcile("two", days=8).trash_emptied == []
    fleet.assert_only(claim)
    fleet.assert_whole(claim, "four")


@on_sqlite
@on_rclone
def test_an_attempt_that_lost_its_claim_while_it_sent_leaves_trash_only(fleet: Fleet) -> None:
    claim = claimed(fleet.engine)
    others: list[Claim] = []

    def be_overtaken(step: str) -> None:
        if step == SENT[1]:
            others.append(fleet.taken_back(claim))
            fleet.save("two", others[0])

    with pytest.raises(result_store.ClaimLost):
        fleet.save("one", claim, on_step=be_overtaken)
    assert row(fleet.engine, claim.task_id).parquet_path == f"backtests/{claim.task_id}.r2/"
    fleet.reconcile("two", days=8)
    fleet.assert_only(claim)
    fleet.assert_whole(claim, "three")


@on_sqlite
def test_a_name_that_an_older_database_left_taken_is_not_used_again(fleet: Fleet) -> None:
    claim = claimed(fleet.engine)
    fleet.objects.provider.upload(f"backtests/{claim.task_id}/symbol_signals.parquet", io.BytesIO(b"of a lost row"))
    fleet.save("one", claim)
    assert row(fleet.engine, claim.task_id).parquet_path == f"backtests/{claim.task_id}.r2/"
    fleet.assert_whole(claim, "two")


@on_sqlite
def test_what_is_missing_or_damaged_is_named(fleet: Fleet) -> None:
    claim = claimed(fleet.engine)
    fleet.save("one", claim)
    stored, provider = row(fleet.engine, claim.task_id), fleet.objects.provider
    key = f"{stored.parquet_path}symbol_signals.parquet"
    good = io.BytesIO()
    provider.download(key, good)
    for change, said in ((lambda data: data[:-1] + b"?", "sha256"), (lambda data: data[:-1], "bytes")):
        provider.upload(key, io.BytesIO(change(good.getvalue())))
        with pytest.raises(ResultDamaged, match=f"{provider.where}/{key} is damaged"):
            result_store.read_table(fleet.machine("two"), stored, "symbol_signals")
        assert said in fleet.reconcile("two", deep=True).damaged[claim.task_id]
    provider.delete(key)
    with pytest.raises(ResultMissing, match=f"{provider.where}/{key} does not exist"):
        result_store.read_table(fleet.machine("two"), stored, "symbol_signals")
    assert key in fleet.reconcile("two").damaged[claim.task_id]
    provider.upload(key, io.BytesIO(good.getvalue()))
    fleet.assert_whole(claim, "two")
    assert fleet.reconcile("two", deep=True).damaged == {}


@on_sqlite
@on_rclone
def test_a_cached_file_that_the_disk_damaged_is_fetched_again(fleet: Fleet) -> None:
    claim = claimed(fleet.engine)
    fleet.save("one", claim)
    fleet.assert_whole(claim, "two")
    cached = list(fleet.folder.glob("two/cache/results/*/*.parquet"))
    assert len(cached) == len(TABLES)
    for path in cached:
        path.write_bytes(bytes(path.stat().st_size))
    fleet.assert_whole(claim, "two")
    looks: list[Path] = []

    def read(path: Path) -> None:
        looks.append(path)
        if len(looks) == 1:
            path.unlink()  # another reader found it damaged, too
        path.stat()

    result_root(fleet.machine("two")).read(row(fleet.engine, claim.task_id), "symbol_signals", read)
    assert len(looks) == 2


@on_sqlite
@on_rclone
def test_the_cache_stays_within_its_limit(fleet: Fleet) -> None:
    small = replace(fleet.machine("two"), results_cache_mb=1)
    big = [claimed(fleet.engine) for _ in range(3)]
    for claim in big:
        fleet.save("one", claim)
        fleet.assert_whole(claim, "two")
    assert result_root(small).cache.limit == 1_000_000
    assert result_root(small).cache.size() <= 1_000_000


@on_sqlite
@on_rclone
def test_a_store_that_is_away_fails_the_save_and_not_the_row(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = claimed(fleet.engine)
    monkeypatch.setattr("storage_core.object_retry.Patience.pauses", lambda self: iter((0.01, 0.01)))
    away = replace(fleet.machine("one"), s3=s3_server("rclone").access(endpoint_url=f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(StoreUnreachable) as caught:
        result_store.save(fleet.engine, away, claim, SAVED, metrics=METRICS, metadata=METADATA)
    assert not caught.value.permanent
    nowhere = replace(fleet.machine("one"), results_uri="s3://no-such-bucket-here")
    with pytest.raises(NoSuchBucket):
        result_store.save(fleet.engine, nowhere, claim, SAVED, metrics=METRICS, metadata=METADATA)
    for settings in (away, nowhere):
        result_root(settings).close()
    assert row(fleet.engine, claim.task_id).status == "running"
    assert list(fleet.folder.glob("*/results/.staging/*")) == []
    fleet.save("one", claim)
    fleet.assert_whole(claim, "two")


@on_sqlite
def test_what_was_deleted_a_week_ago_goes_with_its_objects(fleet: Fleet) -> None:
    kept, gone = claimed(fleet.engine), claimed(fleet.engine)
    for claim in (kept, gone):
        fleet.save("one", claim)
    with session_scope(fleet.engine) as session:
        delete(session, gone.task_id, by="test")
    later = utc_now() + UNDO_FOR + timedelta(minutes=1)
    with pytest.raises(ZeroDivisionError):  # dies when the objects are noted as trash and the row is still there
        purge(fleet.engine, fleet.machine("one"), now=later, on_step=lambda step: 1 // (step != "trashed"))
    assert row(fleet.engine, gone.task_id).deleted_at is not None
    assert not reconcile(fleet.engine, fleet.machine("two"), now=later).changed
    assert purge(fleet.engine, fleet.machine("two"), now=later) == [gone.task_id]
    purge(fleet.engine, fleet.machine("two"), now=later + timedelta(days=8))
    fleet.assert_only(kept)
    fleet.assert_whole(kept, "two")


@on_sqlite
@on_rclone
def test_parts_that_a_killed_worker_left_are_removed_after_a_day(fleet: Fleet) -> None:
    provider = fleet.objects.provider
    key = "backtests/large/performance_curve.parquet"
    provider._client.call("create_multipart_upload", key, Key=f"some/prefix/{key}")
    assert not fleet.reconcile("one", days=0.9).changed
    planned = reconcile(fleet.engine, fleet.machine("one"), now=utc_now() + timedelta(days=2), dry_run=True)
    assert planned.staging_removed == [key]
    assert fleet.reconcile("one", days=2).staging_removed == [key]
    assert not fleet.reconcile("one", days=2).changed


@on_sqlite
def test_a_lost_row_comes_back_from_its_manifest(fleet: Fleet) -> None:
    claim = claimed(fleet.engine)
    fleet.save("one", claim)
    with session_scope(fleet.engine) as session:
        session.delete(backtests.get(session, claim.task_id))
    assert fleet.reconcile("two").adopted == [claim.task_id]
    fleet.assert_whole(claim, "two")
