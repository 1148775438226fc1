"""Bars in S3: the same store for machines that share a database and a bucket, safe against writers at once."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from storage_core import bar_objects, sample
from storage_core.bar_errors import BarConflicts
from storage_core.bar_fingerprints import fingerprint_now
from storage_core.bar_objects import S3BarStore
from storage_core.bar_store import BarStore
from storage_core.bar_table import fingerprint
from storage_core.bars import bar_store_for
from storage_core.errors import BadSymbol, BarsDamaged, NoBars
from storage_core.object_s3 import shared_provider
from storage_core.object_store import StorageProvider
from tests.s3 import emptied, s3_server
from tests.storage_core.test_bar_store import bars, hour

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
SERVER = "rclone"


@pytest.fixture(scope="module")
def bucket() -> Iterator[StorageProvider]:
    running = s3_server(SERVER)
    with running.provider() as made:
        yield shared_provider(made.where, running.access())
        shared_provider.cache_clear()


@pytest.fixture
def machine(bucket, settings, tmp_path):
    """Makes the store of a machine with a disk of its own."""
    where = emptied(bucket).where

    def made(name: str) -> BarStore:
        own = replace(settings, data_dir=tmp_path / name, results_uri=where, s3=s3_server(SERVER).access())
        return bar_store_for(own)

    return made


def keys(bucket, place="bars/"):
    return sorted(info.key for info in bucket.list(place))


@SQLITE
def test_what_one_machine_stores_another_reads(machine, bucket):
    one, two = machine("one"), machine("two")
    assert isinstance(one, S3BarStore)
    coverage = one.merge("KRW-BTC", "1h", bars(500))
    assert two.inventory() == [coverage] == [one.coverage("KRW-BTC", "1h")]
    assert (coverage.rows, coverage.last, coverage.quality.missing_bars) == (500, hour(499), 0)
    assert fingerprint(two.read("KRW-BTC", "1h")) == coverage.fingerprint
    assert len(two.read("KRW-BTC", "1h", hour(10), hour(12))) == 2
    assert fingerprint_now(two, "KRW-BTC", "1h", None, None) == coverage.fingerprint
    two.merge("KRW-BTC", "1h", bars(5, first=500))
    assert len(one.read("KRW-BTC", "1h")) == 505
    assert fingerprint_now(one, "KRW-BTC", "1h", None, None) != coverage.fingerprint
    assert len(keys(bucket)) == 2


@SQLITE
def test_the_same_rules_as_in_a_folder(machine, bucket):
    store = machine("one")
    store.merge("KRW-BTC", "1h", bars(50))
    with pytest.raises(BarConflicts):
        store.merge("KRW-BTC", "1h", {**bars(50), "close": bars(50)["close"] + 0.5})
    store.merge("KRW-BTC", "1h", bars(50))
    assert len(keys(bucket)) == 1
    assert store.plan("KRW-BTC", "1h", bars(60)).added == 10
    with pytest.raises(NoBars, match="available: KRW-BTC 1h"):
        store.read("KRW-ETH", "1h")
    with pytest.raises(BadSymbol):
        store.merge("../x", "1h", bars(2))
    store.delete("KRW-BTC", "1h")
    assert (store.inventory(), keys(bucket)) == ([], [])
    with pytest.raises(NoBars):
        store.delete("KRW-BTC", "1h")


def test_writers_at_once_lose_nothing(machine):
    """On both databases: several machines add a hundred bars each, at the same places of the queue."""
    stores = [machine(f"machine-{n}") for n in range(3)]
    barrier, failed = threading.Barrier(3), []

    def write(n: int) -> None:
        barrier.wait()
        try:
            for part in range(3):
                stores[n].merge("KRW-BTC", "1h", bars(20, first=(n * 3 + part) * 20))
        except Exception as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    read = stores[0].read("KRW-BTC", "1h")
    assert len(read) == 180
    assert np.all(np.diff(read.timestamp) > 0)


@SQLITE
def test_a_writer_whose_base_has_moved_begins_again(machine, monkeypatch):
    one, two = machine("one"), machine("two")
    one.merge("KRW-BTC", "1h", bars(10))
    upload = S3BarStore._upload

    def overtaken(self, symbol, timeframe, table):
        after = upload(self, symbol, timeframe, table)
        if self is one and len(two.read("KRW-BTC", "1h")) == 10:
            two.merge("KRW-BTC", "1h", bars(10, first=20))  # between our read and our commit
        return after

    monkeypatch.setattr(S3BarStore, "_upload", overtaken)
    one.merge("KRW-BTC", "1h", bars(10, first=10))
    assert len(two.read("KRW-BTC", "1h")) == 30


@SQLITE
def test_what_no_row_names_goes_after_an_hour(machine, bucket, monkeypatch):
    store = machine("one")
    for first in (0, 10, 20):
        store.merge("KRW-BTC", "1h", bars(10, first=first))
    assert len(keys(bucket)) == 3
    later = datetime.now(UTC) + timedelta(hours=2)
    monkeypatch.setattr(bar_objects, "utc_now", lambda: later)
    store.merge("KRW-BTC", "1h", bars(10, first=30))
    assert [len(keys(bucket)), len(store.read("KRW-BTC", "1h"))] == [1, 40]


@SQLITE
def test_damaged_and_missing_objects_are_named(machine, bucket, tmp_path):
    store = machine("one")
    store.merge("KRW-BTC", "1h", bars(10))
    (key,) = keys(bucket)
    path = tmp_path / "x"
    path.write_bytes(b"something else")
    bucket.upload(key, path)
    with pytest.raises(BarsDamaged, match="sha256"):
        machine("two").read("KRW-BTC", "1h")
    bucket.delete(key)
    with pytest.raises(BarsDamaged, match="gone"):
        machine("three").read("KRW-BTC", "1h")
    assert len(store.inventory()) == 1


@SQLITE
def test_the_sample_is_installed_once(machine):
    one, two = machine("one"), machine("two")
    assert len(sample.install_sample(one)) == len(sample.provenance())
    assert sample.install_sample(two) == []
    assert {one.symbol for one in two.inventory()} == {"USD-BTC", "USD-ETH", "USD-LTC"}


@SQLITE
def test_an_old_state_stays_for_an_hour_after_another_took_its_place(machine, bucket, monkeypatch):
    """A backup that has read the rows still finds the objects that they named."""
    store = machine("one")
    store.merge("KRW-BTC", "1h", bars(10))
    [first] = keys(bucket)
    listed = store.provider.list

    def of_yesterday(prefix):
        for info in listed(prefix):
            yield replace(info, modified=info.modified - timedelta(days=1)) if info.key == first else info

    monkeypatch.setattr(store.provider, "list", of_yesterday)
    store.merge("KRW-BTC", "1h", bars(10, first=10))
    monkeypatch.undo()
    assert first in keys(bucket)
    assert len(keys(bucket)) == 2


def test_bars_that_are_stored_while_others_are_deleted_stay(machine, bucket, monkeypatch):
    """Whoever deletes lists objects after the row is gone: what somebody has sent since then must not be among them."""
    store = machine("one")
    store.merge("KRW-BTC", "1h", bars(10))
    listed, stored = store.provider.list, threading.Event()

    def store_again():
        store.merge("KRW-BTC", "1h", bars(20, first=5))
        stored.set()

    writer = threading.Thread(target=store_again)

    def overtaken(prefix):
        if writer.ident is None:
            writer.start()
            stored.wait(0.3)  # it has to wait for its turn, so this ends by itself
        return listed(prefix)

    monkeypatch.setattr(store.provider, "list", overtaken)
    store.delete("KRW-BTC", "1h")
    writer.join()
    assert len(store.read("KRW-BTC", "1h")) == 20
    assert len(keys(bucket)) == 1
