"""What a folder, moto and a real S3 server all do alike."""

import hashlib
import io
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from storage_core.object_errors import BadKey, ObjectDamaged, ObjectNotFound
from storage_core.object_keys import key_problem
from storage_core.object_local import LocalStorageProvider
from storage_core.object_s3 import S3StorageProvider
from storage_core.object_s3_upload import PART
from storage_core.object_settings import S3Access
from storage_core.object_store import StorageProvider
from tests.s3 import SERVERS, emptied, s3_server

names = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="/\\"), min_size=1)
keys = st.lists(names.map(lambda name: f"n{name[:20]}"), min_size=1, max_size=3).map("/".join)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], StorageProvider]]:
    """One store of each kind, as connecting takes longer than most tests."""
    with ExitStack() as stack:

        @cache
        def of_kind(kind: str) -> StorageProvider:
            if kind == "folder":
                return LocalStorageProvider(tmp_path_factory.mktemp("folder") / "root")
            return stack.enter_context(s3_server(kind).provider())

        yield of_kind


@pytest.fixture(params=["folder", *SERVERS])
def store(request: pytest.FixtureRequest, stores: Callable[[str], StorageProvider]) -> StorageProvider:
    """An empty root."""
    return emptied(stores(request.param))


def put(store: StorageProvider, key: str, data: bytes) -> None:
    store.upload(key, io.BytesIO(data))


def get(store: StorageProvider, key: str) -> bytes:
    target = io.BytesIO()
    store.download(key, target)
    return target.getvalue()


def test_an_object_is_stored_described_read_and_removed(store: StorageProvider, tmp_path: Path) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    (tmp_path / "source").write_bytes(b"some bytes")
    sent = store.upload("a/b.parquet", tmp_path / "source")
    assert (sent.size, sent.sha256) == (10, hashlib.sha256(b"some bytes").hexdigest())
    info = store.metadata("a/b.parquet")
    assert (info.key, info.size) == ("a/b.parquet", 10)
    assert before < info.modified < datetime.now(UTC) + timedelta(seconds=2)
    assert info.md5 in (None, hashlib.md5(b"some bytes", usedforsecurity=False).hexdigest())
    assert store.exists("a/b.parquet")
    assert store.download("a/b.parquet", tmp_path / "target", sha256=sent.sha256) == sent
    assert (tmp_path / "target").read_bytes() == b"some bytes"
    with store.open("a/b.parquet", start=5) as stream:
        assert stream.readall() == b"bytes"
    store.delete("a/b.parquet")
    store.delete("a/b.parquet")
    assert not store.exists("a/b.parquet")
    assert list(store.list()) == []


def test_an_upload_replaces_an_object_whole(store: StorageProvider) -> None:
    put(store, "key", b"longer than the next")
    put(store, "key", b"next")
    assert get(store, "key") == b"next"
    put(store, "key", b"")
    assert get(store, "key") == b""
    assert store.metadata("key").size == 0


def test_what_is_not_there_is_named(store: StorageProvider, tmp_path: Path) -> None:
    asks = [store.metadata, store.open, get.__get__(store), lambda key: store.verify(key, sha256="0" * 64)]
    asks += [lambda key: store.verify(key, md5="0" * 32), lambda key: store.download(key, tmp_path / "target")]
    for ask in asks:
        with pytest.raises(ObjectNotFound) as caught:
            ask("no/such")
        assert (caught.value.permanent, caught.value.key) == (True, "no/such")
        assert str(caught.value) == f"{store.where}/no/such: there is no such object"
    assert not (tmp_path / "target").exists()
    assert not store.exists("no")


@pytest.mark.parametrize("start", [4, 5, 100])
def test_reading_from_the_end_gives_nothing(store: StorageProvider, start: int) -> None:
    put(store, "key", b"four")
    with store.open("key", start=start) as stream:
        assert stream.readall() == b""


def test_verify_compares_with_what_was_noted(store: StorageProvider) -> None:
    data = b"x" * 100
    put(store, "key", data)
    sha256, md5 = hashlib.sha256(data).hexdigest(), hashlib.md5(data, usedforsecurity=False).hexdigest()
    store.verify("key", sha256=sha256)
    store.verify("key", md5=md5)
    store.verify("key", sha256=sha256.upper(), md5=md5)
    for wrong in ({"sha256": "0" * 64}, {"md5": "0" * 32}):
        with pytest.raises(ObjectDamaged, match=f"{store.where}/key: it is damaged") as caught:
            store.verify("key", **wrong)
        assert caught.value.permanent
        assert caught.value.was in (sha256, md5)


def test_bytes_that_are_not_those_expected_never_appear(store: StorageProvider, tmp_path: Path) -> None:
    put(store, "key", b"old")
    for data in (b"new", b"n" * (PART + 1)):
        with pytest.raises(ObjectDamaged):
            store.upload("key", io.BytesIO(data), sha256="0" * 64)
    assert get(store, "key") == b"old"
    (tmp_path / "target").write_bytes(b"before")
    with pytest.raises(ObjectDamaged):
        store.download("key", tmp_path / "target", sha256="0" * 64)
    assert (tmp_path / "target").read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert not store.remove_unfinished(before=datetime.now(UTC) + timedelta(days=1)), "nothing is left behind"


BAD_KEYS = [
    "", "/", "/absolute", "a//b", "a/", "..", "../up", "a/../b", ".", "a/./b", ".hidden", "a/.hidden/b",
    "null\0", "line\n", "tab\t", "del\x7f", "back\\slash", "\ud800", "\u202e", "n" * 256, "한" * 86,
    "/".join(["n" * 200] * 6),
]  # fmt: skip


@pytest.mark.parametrize("key", BAD_KEYS, ids=ascii)
def test_a_bad_key_is_refused_before_anything_happens(tmp_path: Path, key: str) -> None:
    nowhere = S3StorageProvider("no-such-bucket", access=S3Access())
    for store in (LocalStorageProvider(tmp_path / "root"), nowhere):
        for ask in (
            store.metadata,
            store.open,
            store.delete,
            store.exists,
            lambda key, store=store: put(store, key, b""),
        ):
            with pytest.raises(BadKey) as caught:
                ask(key)
            assert caught.value.permanent
        if key:
            with pytest.raises(BadKey):
                store.list(key + "/x" if key in ("..", ".", "a/") else key)
    assert list(tmp_path.iterdir()) == []


def test_a_listing_goes_over_several_pages(store: StorageProvider) -> None:
    keys = {f"many/{number:02}/{letter}" for number in range(12) for letter in "ab"} | {"many-more", "other/1"}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: put(store, key, key.encode()), sorted(keys)))
    found = list(store.list(page_size=5))
    assert {info.key: info.size for info in found} == {key: len(key) for key in keys}
    assert len(found) == len(keys), "none twice"
    assert {info.key for info in store.list("many", page_size=7)} == keys - {"other/1"}
    assert {info.key for info in store.list("many/")} == keys - {"other/1", "many-more"}
    assert {info.key for info in store.list("many/03/")} == {"many/03/a", "many/03/b"}
    assert [info.key for info in store.list("many/03/b")] == ["many/03/b"]
    assert list(store.list("none")) == list(store.list("none/at/all")) == []


def test_prefixes_are_apart(store: StorageProvider) -> None:
    put(store, "key", b"mine")
    assert {info.key for info in store.list()} == {"key"}
    if not isinstance(store, LocalStorageProvider):
        bucket = store.where.split("/")[2]
        with S3StorageProvider(bucket, access=store._client._access) as whole:
            assert {info.key for info in whole.list()} == {"some/prefix/key"}
            put(whole, "some/prefix-2/key", b"not mine")
            put(whole, "some/prefix/more/key", b"mine")
        assert {info.key for info in store.list()} == {"key", "more/key"}


def test_any_key_and_any_content_comes_back(store: StorageProvider) -> None:
    @examples(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(key=keys, data=st.binary(max_size=300))
    def round_trip(key: str, data: bytes) -> None:
        assert key_problem(key) == ""
        put(store, key, data)
        assert get(store, key) == data
        assert key in {info.key for info in store.list(key)}
        store.delete(key)
        assert not store.exists(key)

    round_trip()


class Dribble(io.RawIOBase):
    """A source of so many bytes that gives less than it is asked for, as pipes do."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.left = size
        self.digest, self.md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        self.block = bytes(range(256)) * 2_734 + b"odd"

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        data = self.block[: min(self.left, len(buffer))]
        buffer[: len(data)] = data
        self.left -= len(data)
        self.digest.update(data)
        self.md5.update(data)
        return len(data)


@pytest.mark.parametrize("size", [PART - 1, PART, PART + 1, 2 * PART])
def test_around_the_size_where_parts_begin(store: StorageProvider, size: int) -> None:
    source = Dribble(size)
    sent = store.upload("key", source)
    assert (sent.size, sent.sha256) == (size, source.digest.hexdigest())
    assert store.metadata("key").size == size
    store.verify("key", sha256=sent.sha256)


def test_a_hundred_megabytes_pass_through_little_memory(store: StorageProvider, tmp_path: Path) -> None:
    source = Dribble(100_000_000)
    assert not store.exists("large")  # loads boto3
    tracemalloc.start()
    try:
        sent = store.upload("large", source)
        store.download("large", tmp_path / "target", sha256=source.digest.hexdigest())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sent.size == (tmp_path / "target").stat().st_size == 100_000_000
    assert peak < 3 * PART
    store.verify("large", md5=source.md5.hexdigest())  # though the ETag of parts is, for most servers, not an MD5


@pytest.mark.parametrize("kind", ["folder", *SERVERS])
def test_many_writers_of_one_key_leave_one_of_their_objects_whole(kind: str, tmp_path: Path) -> None:
    """In a place of its own: rclone may list such a key twice, and for ever; what matters is what it holds."""
    store = LocalStorageProvider(tmp_path / "root") if kind == "folder" else s3_server(kind).provider()
    contents = [bytes([number]) * 300_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda data: put(store, "key", data), contents))
    assert get(store, "key") in contents
    assert {info.key for info in store.list()} == {"key"}


def test_an_object_is_not_seen_before_it_is_whole(store: StorageProvider) -> None:
    class Watched(Dribble):
        def readinto(self, buffer: memoryview) -> int:
            seen.append((store.exists("key"), [info.key for info in store.list()]))
            return super().readinto(buffer)

    seen: list[tuple[bool, list[str]]] = []
    store.upload("key", Watched(PART + 5))
    assert seen
    assert all(moment == (False, []) for moment in seen)
    assert store.exists("key")


def test_a_source_that_fails_leaves_nothing(store: StorageProvider) -> None:
    class Failing(Dribble):
        def readinto(self, buffer: memoryview) -> int:
            if self.left < 1_000_000:
                raise ValueError("the source failed")
            return super().readinto(buffer)

    with pytest.raises(ValueError, match="the source failed"):
        store.upload("key", Failing(2 * PART))
    assert list(store.list()) == []
    assert not store.remove_unfinished(before=datetime.now(UTC) + timedelta(days=1)), "nothing is left behind"


def test_a_closed_provider_opens_again(store: StorageProvider) -> None:
    put(store, "key", b"data")
    store.close()
    assert get(store, "key") == b"data"


def test_a_writer_that_ends_while_unfinished_ones_are_looked_for(tmp_path: Path) -> None:
    store = LocalStorageProvider(tmp_path)
    put(store, "a", b"x")
    (tmp_path / ".uploading" / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / ".uploading" / "killed").write_bytes(b"half")
    assert store.remove_unfinished(before=datetime.now(UTC) + timedelta(days=1)) == ["killed"]
