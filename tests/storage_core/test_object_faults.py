"""Bad days of servers, networks and disks: what is worth it is tried again, the rest is named and leaves nothing."""

import hashlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage_core import object_errors as errors
from storage_core import object_retry
from storage_core.errors import DiskProblem, StorageError
from storage_core.object_local import UPLOADING, LocalStorageProvider
from storage_core.object_retry import Patience, retrying
from storage_core.object_s3 import S3StorageProvider
from storage_core.object_s3_upload import PART
from storage_core.object_settings import S3Access
from storage_core.object_store import StorageProvider, provider_for
from storage_core.settings import Settings
from tests.s3 import emptied, s3_server
from tests.s3_faults import Proxy, misbehaving
from tests.services import free_port

QUICK = Patience(attempts=3, first_pause=0.001, longest_pause=0.002)
HASTY = replace(QUICK, connect_seconds=0.5, read_seconds=0.5)
"""For a server that never answers; one that is only slow, on a busy machine, is waited for."""
DATA = bytes(range(256)) * 1_000
LARGE = bytes(range(256)) * (PART // 256) + DATA


@pytest.fixture(scope="module")
def connected() -> Iterator[tuple[Proxy, S3StorageProvider]]:
    """A server that misbehaves when it is told to, and a store in it; connecting takes longer than most tests."""
    server = s3_server("rclone")
    with misbehaving(server.url) as proxy, server.provider() as direct:
        bucket, access = direct.where.split("/")[2], server.access(endpoint_url=proxy.url)
        with S3StorageProvider(bucket, "some/prefix", access=access, patience=QUICK) as store:
            yield proxy, store


@pytest.fixture(scope="module")
def hasty(connected: tuple[Proxy, S3StorageProvider]) -> Iterator[S3StorageProvider]:
    """The same store for somebody who does not wait for long."""
    proxy, store = connected
    bucket, prefix = store.where.split("/", 3)[2:]
    access = s3_server("rclone").access(endpoint_url=proxy.url)
    with S3StorageProvider(bucket, prefix, access=access, patience=HASTY) as made:
        yield made


@pytest.fixture
def store(connected: tuple[Proxy, S3StorageProvider]) -> Iterator[StorageProvider]:
    """That store with one object."""
    proxy, store = connected
    emptied(store).upload("key", io.BytesIO(DATA))
    proxy.seen.clear()
    yield store
    proxy.forget()


@pytest.fixture
def proxy(connected: tuple[Proxy, S3StorageProvider]) -> Proxy:
    """What its server will do wrong, and what it was asked."""
    return connected[0]


def get(store: StorageProvider, key: str) -> bytes:
    target = io.BytesIO()
    store.download(key, target)
    return target.getvalue()


def nothing_behind(store: StorageProvider) -> bool:
    return not store.remove_unfinished(before=datetime.now(UTC) + timedelta(days=1))


@pytest.mark.parametrize("fault", ["InternalError", "SlowDown", "ServiceUnavailable", "cut request", "lost answer"])
@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD", "DELETE"])
def test_a_short_bad_day_is_not_noticed(store: S3StorageProvider, proxy: Proxy, method: str, fault: str) -> None:
    calls = {
        "PUT": lambda: store.upload("new", io.BytesIO(DATA)),
        "GET": lambda: get(store, "key") == DATA or pytest.fail("other bytes"),
        "HEAD": lambda: store.metadata("key"),
        "DELETE": lambda: store.delete("key"),
    }
    proxy.will(fault, method, times=2)
    calls[method]()
    assert not proxy.faults, "both were met"
    if method == "PUT":
        assert get(store, "new") == DATA


@pytest.mark.parametrize(
    ("fault", "expected", "requests"),
    [
        ("InternalError", errors.StoreFailed, 3),
        ("SlowDown", errors.StoreFailed, 3),
        ("cut request", errors.StoreUnreachable, 3),
        ("BadDigest", errors.TransferBroken, 3),
        ("AccessDenied", errors.AccessDenied, 1),
    ],
)
def test_a_long_bad_day_is_named(
    store: S3StorageProvider, proxy: Proxy, fault: str, expected: type[errors.ObjectError], requests: int
) -> None:
    proxy.will(fault, "PUT", times=9)
    with pytest.raises(expected) as caught:
        store.upload("new", io.BytesIO(DATA))
    assert str(caught.value).startswith(f"{store.where}/new: ")
    assert caught.value.permanent == (requests == 1)
    assert len([seen for seen in proxy.seen if seen.startswith("PUT")]) == requests
    assert not store.exists("new")


def test_a_server_that_does_not_answer_is_waited_for_no_longer_than_said(
    store: S3StorageProvider, hasty: S3StorageProvider, proxy: Proxy
) -> None:
    proxy.will("hang", "HEAD", times=3)
    with pytest.raises(errors.StoreTimedOut, match="did not answer in time") as caught:
        hasty.metadata("key")
    assert not caught.value.permanent
    assert caught.value.__notes__ == ["tried 3 times"]
    assert store.metadata("key").size == len(DATA)


def test_nobody_at_the_address(tmp_path: Path) -> None:
    nobody = s3_server("rclone").access(endpoint_url=f"http://127.0.0.1:{free_port()}")
    with (
        S3StorageProvider("bucket", access=nobody, patience=HASTY) as store,
        pytest.raises(errors.StoreUnreachable) as caught,
    ):
        store.upload("key", io.BytesIO(DATA))
    assert str(caught.value).startswith("s3://bucket/key: the store cannot be reached")
    assert not caught.value.permanent


@pytest.mark.parametrize("fault", ["cut request", "InternalError", "lost answer"])
def test_a_part_that_breaks_is_sent_again(store: S3StorageProvider, proxy: Proxy, fault: str) -> None:
    proxy.will(fault, "PUT", having="partNumber=1")
    proxy.will(fault, "PUT", having="partNumber=2", times=2)
    store.upload("large", io.BytesIO(LARGE))
    assert not proxy.faults
    assert get(store, "large") == LARGE


@pytest.mark.parametrize("fault", ["cut request", "InternalError", "AccessDenied", "hang"])
@pytest.mark.parametrize("where", ["partNumber=2", "uploadId="])
def test_an_upload_in_parts_that_fails_leaves_nothing(
    store: S3StorageProvider, hasty: S3StorageProvider, proxy: Proxy, where: str, fault: str
) -> None:
    proxy.will(fault, "PUT" if "=2" in where else "POST", having=where, times=3)
    with pytest.raises(errors.ObjectError, match=f"{store.where}/large: "):
        (hasty if fault == "hang" else store).upload("large", io.BytesIO(LARGE))
    proxy.faults.clear()
    assert not store.exists("large")
    assert nothing_behind(store)


def test_the_lost_answer_to_the_last_word_is_found_out(store: S3StorageProvider, proxy: Proxy) -> None:
    proxy.will("lost answer", "POST", having="uploadId=")
    store.upload("large", io.BytesIO(LARGE))
    assert get(store, "large") == LARGE
    assert nothing_behind(store)


def test_what_could_not_be_aborted_is_said_and_removed_later(store: S3StorageProvider, proxy: Proxy) -> None:
    proxy.will("AccessDenied", "PUT", having="partNumber=2")
    proxy.will("InternalError", "DELETE", having="uploadId=")
    with pytest.raises(errors.AccessDenied) as caught:
        store.upload("large", io.BytesIO(LARGE))
    assert "its parts are left behind" in caught.value.__notes__[0]
    assert store.remove_unfinished(before=datetime.now(UTC) - timedelta(hours=1)) == [], "another may be sending it"
    assert store.remove_unfinished(before=datetime.now(UTC) + timedelta(hours=1)) == ["large"]
    assert nothing_behind(store)


def test_a_download_that_is_cut_goes_on_where_it_was(store: S3StorageProvider, proxy: Proxy, tmp_path: Path) -> None:
    proxy.will("cut answer", "GET", times=2)
    digest = hashlib.sha256(DATA).hexdigest()
    assert store.download("key", tmp_path / "target", sha256=digest).size == len(DATA)
    assert (tmp_path / "target").read_bytes() == DATA
    assert len([seen for seen in proxy.seen if seen.startswith("GET")]) == 3


def test_a_download_that_is_cut_for_ever_leaves_no_file(store: S3StorageProvider, proxy: Proxy, tmp_path: Path) -> None:
    proxy.will("cut answer", "GET", times=100)
    with pytest.raises(errors.TransferBroken):
        store.download("key", tmp_path / "target")
    assert list(tmp_path.iterdir()) == []


def test_an_object_that_is_replaced_while_it_is_read_is_not_a_mixture(store: S3StorageProvider, proxy: Proxy) -> None:
    proxy.will("cut answer", "GET")
    with store.open("key") as stream:
        assert len(stream.read(100)) == 100
        store.upload("key", io.BytesIO(DATA[::-1]))
        with pytest.raises(errors.ObjectChanged) as caught:
            stream.readall()
    assert not caught.value.permanent


def test_bytes_damaged_on_the_way_are_read_again(store: S3StorageProvider, proxy: Proxy, tmp_path: Path) -> None:
    digest = hashlib.sha256(DATA).hexdigest()
    proxy.will("damage", "GET")
    store.verify("key", sha256=digest)
    proxy.will("damage", "GET")
    store.download("key", tmp_path / "target", sha256=digest)
    assert (tmp_path / "target").read_bytes() == DATA


def test_damaged_bytes_are_named(store: S3StorageProvider, proxy: Proxy, tmp_path: Path) -> None:
    digest = hashlib.sha256(DATA).hexdigest()
    proxy.will("damage", "GET", times=4)
    with pytest.raises(errors.ObjectDamaged, match=f"{store.where}/key: it is damaged: its sha256 is ") as caught:
        store.verify("key", sha256=digest)
    assert (caught.value.key, caught.value.expected, caught.value.permanent) == ("key", digest, True)
    with pytest.raises(errors.ObjectDamaged):
        store.download("key", tmp_path / "target", sha256=digest)
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_is_not_s3_is_named(store: S3StorageProvider, proxy: Proxy) -> None:
    proxy.will("garbage", "GET", times=3)
    with pytest.raises(errors.StoreFailed, match=store.where):
        list(store.list())


@pytest.mark.parametrize("server", ["rclone", "moto"])
def test_a_bucket_that_does_not_exist(server: str) -> None:
    with s3_server(server).provider("no-such-bucket-here") as store:
        asks = [store.metadata, store.open, store.exists, store.delete, lambda key: store.upload(key, io.BytesIO(b""))]
        for ask in [*asks, lambda key: list(store.list(key)), lambda key: store.upload(key, io.BytesIO(LARGE))]:
            with pytest.raises(errors.NoSuchBucket, match="s3://no-such-bucket-here/some/prefix") as caught:
                ask("key")
            assert caught.value.permanent


@pytest.mark.parametrize("wrong", ["access_key_id", "secret_access_key"])
def test_an_account_that_the_server_does_not_know(wrong: str) -> None:
    access = s3_server("rclone").access(**{wrong: "something-else-entirely"})
    with S3StorageProvider("bucket", access=access, patience=HASTY) as store:
        for ask in (store.metadata, store.open, lambda key: store.upload(key, io.BytesIO(DATA))):
            with pytest.raises(errors.AccessDenied, match="s3://bucket/key: access denied") as caught:
                ask("key")
            assert caught.value.permanent
            assert "something-else-entirely" not in str(caught.value)


def test_no_account_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    access = S3Access(endpoint_url=s3_server("rclone").url)
    with (
        S3StorageProvider("bucket", access=access, patience=HASTY) as store,
        pytest.raises(errors.AccessDenied, match="credentials"),
    ):
        store.metadata("key")


class Clock:
    """Time that goes on only when somebody sleeps."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_nobody_waits_longer_than_said_however_often_it_may_be_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, began = Clock(), []
    monkeypatch.setattr(object_retry, "time", clock)

    def take_long_and_fail() -> None:
        began.append(clock.now)
        clock.sleep(3)
        raise StorageError("not yet")

    with pytest.raises(StorageError) as caught:
        retrying(Patience(attempts=1_000, give_up_after=10, first_pause=0.001), take_long_and_fail)
    assert [int(at) for at in began] == [0, 3, 6, 9]
    assert caught.value.__notes__ == ["tried 4 times"]


def test_only_what_may_help_is_tried_again() -> None:
    for permanent, expected in ((False, 3), (True, 1)):
        calls = []

        def fail(permanent: bool = permanent, calls: list[int] = calls) -> None:
            calls.append(1)
            error = StorageError("no")
            error.permanent = permanent
            raise error

        with pytest.raises(StorageError):
            retrying(HASTY, fail)
        assert len(calls) == expected
    pauses = list(Patience().pauses())
    assert len(pauses) == Patience().attempts - 1
    assert all(0.125 <= pause <= 8 for pause in pauses)


@contextmanager
def _mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    with _mounted(tmp_path / "small", "size=1m") as small:
        store = LocalStorageProvider(small / "root")
        store.upload("kept", io.BytesIO(DATA))
        with pytest.raises(DiskProblem, match="large: No space left") as caught:
            store.upload("large", io.BytesIO(LARGE))
        assert not caught.value.permanent
        assert not store.exists("large")
        assert list((small / "root" / UPLOADING).iterdir()) == []
        assert get(store, "kept") == DATA
        store.upload("kept", io.BytesIO(DATA[::-1]))


def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    with _mounted(tmp_path / "fixed", "size=1m") as fixed:
        store = LocalStorageProvider(fixed)
        store.upload("key", io.BytesIO(DATA))
        subprocess.run(["mount", "-o", "remount,ro", str(fixed)], check=True)
        for change in (lambda: store.upload("key", io.BytesIO(b"")), lambda: store.delete("key")):
            with pytest.raises(errors.AccessDenied, match=f"{fixed}/key: access denied") as caught:
                change()
            assert caught.value.permanent
        assert get(store, "key") == DATA


def test_an_object_cannot_be_a_folder_of_another(tmp_path: Path) -> None:
    store = LocalStorageProvider(tmp_path / "root")
    store.upload("a", io.BytesIO(DATA))
    with pytest.raises(errors.BadKey, match="same name"):
        store.upload("a/b", io.BytesIO(DATA))
    store.upload("c/d", io.BytesIO(DATA))
    with pytest.raises(errors.BadKey, match="same name"):
        store.upload("c", io.BytesIO(DATA))
    assert not store.exists("c")
    assert {info.key for info in store.list()} == {"a", "c/d"}


def test_a_killed_writer_leaves_one_hidden_file_that_is_removed_later(tmp_path: Path) -> None:
    code = (
        "import io, os, sys; from pathlib import Path; from storage_core.object_local import LocalStorageProvider\n"
        "class Dying(io.BytesIO):\n"
        "    def read(self, size=-1): os.kill(os.getpid(), 9) if self.tell() else None; return super().read(1000)\n"
        "LocalStorageProvider(Path(sys.argv[1])).upload('key', Dying(b'x' * 5000))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -9
    store = LocalStorageProvider(tmp_path)
    assert list(store.list()) == []
    assert store.remove_unfinished(before=datetime.now(UTC) - timedelta(hours=1)) == []
    assert len(store.remove_unfinished(before=datetime.now(UTC) + timedelta(hours=1))) == 1
    assert list((tmp_path / UPLOADING).iterdir()) == []


def test_boto3_is_loaded_by_the_first_call_only(tmp_path: Path) -> None:
    code = (
        "import sys; from storage_core.object_store import provider_for; from storage_core.settings import Settings\n"
        "settings = Settings(data_dir=None, secret_key='x', database_url='x')\n"
        "store = provider_for('s3://bucket/prefix', settings)\n"
        "print(store.where, sorted({'boto3', 'botocore'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "s3://bucket/prefix []"
    settings = Settings(data_dir=tmp_path, secret_key="x", database_url="x")
    assert isinstance(provider_for(str(tmp_path / "results"), settings), LocalStorageProvider)
