"""Files that people send lie where every web server finds them, in a folder and in S3 alike, and for a day."""

import io
import os
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from storage_core import bar_upload_files
from storage_core.bar_upload_errors import BadUpload, UploadGone
from storage_core.db import utc_now
from storage_core.object_errors import ObjectDamaged, StoreUnreachable
from storage_core.object_s3 import shared_provider
from storage_core.settings import Settings
from tests.s3 import SERVERS, s3_server
from tests.services import free_port

DAYS = timedelta(days=2)


@pytest.fixture(params=["folder", *SERVERS])
def machines(request, tmp_path):
    """The settings of two web servers: with one folder that both see, or with a bucket and a disk of each."""
    own = Settings(
        data_dir=tmp_path / "one", database_url="sqlite:///nowhere", secret_key="only for tests, not a secret"
    )
    (tmp_path / "one").mkdir()
    if request.param == "folder":
        yield own, own
        return
    server = s3_server(request.param)
    with server.provider() as bucket:
        own = replace(own, results_uri=bucket.where, s3=server.access())
        yield own, replace(own, data_dir=tmp_path / "two")
        shared_provider.cache_clear()


def keep(settings, content=b"abc", **changes):
    asked = {"name": "x\ny.csv", "owner_id": 7, **changes}
    with bar_upload_files.received(settings, [content[:2], content[2:]]) as path:
        return bar_upload_files.keep(settings, path, **asked)


def read(settings, upload):
    with bar_upload_files.opened(settings, upload) as path:
        return path.read_bytes()


def left(settings):
    """Everything of files that were sent: in the store, and on this machine."""
    store = bar_upload_files._store(settings)
    here = [path for name in ("receiving", "cache/uploads") for path in (settings.data_dir / name).rglob("*")]
    return [info.key for info in store.list("uploads/")] + [path.name for path in here if path.is_file()]


def test_what_one_web_server_took_another_reads_and_forgets(machines):
    one, two = machines
    made = keep(one)
    upload_id = UUID(made.upload_id)
    assert bar_upload_files.find(two, upload_id, owner_id=7) == made
    assert (made.name, made.size) == ("xy.csv", 3)
    assert read(two, made) == b"abc" == read(one, made)
    bar_upload_files.drop(two, made)
    bar_upload_files.drop(one, made)
    for settings in machines:
        with pytest.raises(UploadGone):
            bar_upload_files.find(settings, upload_id, owner_id=7)
        with pytest.raises(UploadGone):
            read(settings, made)
        assert set(left(settings)) <= {".lock"}


def test_a_file_is_nobody_elses(machines):
    one, two = machines
    made = keep(one)
    for other, owner in ((UUID(made.upload_id), 8), (UUID(made.upload_id), None), (uuid4(), 7)):
        with pytest.raises(UploadGone, match="this upload is gone"):
            bar_upload_files.find(two, other, owner_id=owner)


def test_a_file_is_gone_after_a_day_and_the_clock_removes_it(machines):
    one, two = machines
    old, new = keep(one, now=utc_now() - DAYS), keep(one)
    with pytest.raises(UploadGone):
        bar_upload_files.find(two, UUID(old.upload_id), owner_id=7)
    read(two, new)
    assert bar_upload_files.tidy(two) == 0  # by the time at which the store got it
    assert bar_upload_files.find(one, UUID(new.upload_id), owner_id=7) == new
    assert bar_upload_files.tidy(two, now=utc_now() + DAYS) == 4
    assert set(left(two)) <= {".lock"}


def test_too_large_and_empty_files_leave_nothing(machines, monkeypatch):
    one, _ = machines
    monkeypatch.setattr(bar_upload_files, "LARGEST", 10)
    for pieces, said in (([b"x" * 6, b"y" * 6], "larger than"), ([], "empty")):
        with pytest.raises(BadUpload, match=said), bar_upload_files.received(one, pieces):
            pytest.fail("it was taken")
    assert left(one) == []


def test_a_request_that_was_killed_leaves_its_file_for_a_day(machines):
    one, _ = machines
    (one.data_dir / "receiving").mkdir()
    for name, age in (("old", DAYS), ("new", timedelta())):
        path, at = one.data_dir / "receiving" / f"{name}.part", (utc_now() - age).timestamp()
        path.write_bytes(b"half")
        os.utime(path, (at, at))
    with bar_upload_files.received(one, [b"abc"]) as path:
        assert sorted(found.name for found in path.parent.iterdir()) == sorted([path.name, "new.part"])


@pytest.mark.parametrize("machines", ["folder"], indirect=True)
@pytest.mark.parametrize("facts", [b"", b"[]", b'{"upload_id": "x", "path": ""}'])
def test_what_another_release_kept_or_a_disk_damaged_is_gone(machines, facts):
    one, _ = machines
    made = keep(one)
    (one.data_dir / "uploads" / f"{made.upload_id}.json").write_bytes(facts)
    with pytest.raises(UploadGone):
        bar_upload_files.find(one, UUID(made.upload_id), owner_id=7)


@pytest.mark.parametrize("machines", ["folder"], indirect=True)
def test_what_was_being_kept_when_a_web_server_died_goes_too(machines):
    one, _ = machines
    keep(one)
    (one.data_dir / ".uploading" / "half").write_bytes(b"half")
    bar_upload_files.tidy(one, now=utc_now() + DAYS)
    assert list((one.data_dir / ".uploading").iterdir()) == []


@pytest.mark.parametrize("machines", ["rclone"], indirect=True)
def test_a_file_that_was_damaged_in_the_store_is_not_read(machines):
    one, two = machines
    made = keep(one)
    bar_upload_files._store(one).upload(f"uploads/{made.upload_id}.data", io.BytesIO(b"abd"))
    with pytest.raises(ObjectDamaged):
        read(two, made)


@pytest.mark.parametrize("machines", ["rclone"], indirect=True)
def test_a_store_that_is_away_is_named_and_leaves_nothing(machines, monkeypatch):
    one, _ = machines
    monkeypatch.setattr("storage_core.object_retry.Patience.pauses", lambda self: iter((0.01,)))
    away = replace(one, s3=replace(one.s3, endpoint_url=f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(StoreUnreachable):
        keep(away)
    assert list((one.data_dir / "receiving").iterdir()) == []


def test_who_reads_a_file_keeps_it_when_another_request_forgets_it(machines):
    """A double click on Save: the first one stores the bars and forgets the file, which the second one is reading."""
    one, two = machines
    made = keep(one)
    with bar_upload_files.opened(two, made) as path:
        bar_upload_files.drop(one, made)
        assert path.read_bytes() == b"abc"
    with pytest.raises(UploadGone):
        read(one, made)
