"""The cache of fetched files: bounded, never stale, safe between threads and processes."""

import hashlib
import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path

import pytest

from storage_core.errors import StorageError
from storage_core.files import sha256_file, write_bytes
from storage_core.object_cache import ABANDONED_AFTER, FileCache

SIZE = 1_000


def content(number: int) -> bytes:
    return bytes([number]) * SIZE


def digest(number: int) -> str:
    return hashlib.sha256(content(number)).hexdigest()


def fetch(number: int, fetched: list[int] | None = None) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        if fetched is not None:
            fetched.append(number)
        write_bytes(path, content(number))

    return write


def use(cache: FileCache, number: int, fetched: list[int] | None = None) -> None:
    with cache.held(digest(number), "file", SIZE, fetch(number, fetched)) as path:
        assert path.name == "file"
        assert path.read_bytes() == content(number)


def test_a_file_is_fetched_once(tmp_path: Path) -> None:
    cache, fetched = FileCache(tmp_path / "cache", limit=10 * SIZE), []
    for number in (1, 2, 1, 2, 1):
        use(cache, number, fetched)
    assert fetched == [1, 2]
    assert cache.size() == 2 * SIZE


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    cache, fetched = FileCache(tmp_path, limit=3 * SIZE), []
    for number in (1, 2, 3, 1, 4):
        use(cache, number, fetched)
        time.sleep(0.01)
    assert cache.size() == 3 * SIZE
    use(cache, 1, fetched)
    assert fetched == [1, 2, 3, 4], "1 was used after 2, so 2 went"
    use(cache, 2, fetched)
    assert fetched == [1, 2, 3, 4, 2]
    assert len(list(tmp_path.glob("*/"))) == 3, "folders go with their files"


def test_a_file_that_is_being_read_stays(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, limit=SIZE)
    with cache.held(digest(1), "file", SIZE, fetch(1)) as path:
        use(cache, 2)
        use(cache, 3)
        assert path.read_bytes() == content(1)
    use(cache, 4)
    assert not path.exists()
    assert cache.size() == SIZE


def test_a_slower_fetch_of_the_same_file_leaves_readers_theirs(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, limit=SIZE)
    with ExitStack() as readers:

        def slow(path: Path) -> None:
            readers.enter_context(cache.held(digest(1), "file", SIZE, fetch(1)))
            fetch(1)(path)

        with cache.held(digest(1), "file", SIZE, slow) as path:
            pass
        use(cache, 2)
        use(cache, 3)
        assert path.read_bytes() == content(1)


def test_a_file_of_another_size_is_fetched_again(tmp_path: Path) -> None:
    cache, fetched = FileCache(tmp_path, limit=10 * SIZE), []
    use(cache, 1, fetched)
    (tmp_path / digest(1) / "file").write_bytes(b"cut")
    use(cache, 1, fetched)
    cache.drop(digest(1), "file")
    use(cache, 1, fetched)
    assert fetched == [1, 1, 1]


def test_a_fetch_that_fails_leaves_nothing_and_is_tried_again(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, limit=10 * SIZE)

    def fail(path: Path) -> None:
        raise StorageError("not today")

    with pytest.raises(StorageError, match="not today"), cache.held(digest(1), "file", SIZE, fail):
        pytest.fail("there is no file")
    use(cache, 1)


def test_a_name_that_is_not_a_digest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a sha256"), FileCache(tmp_path, limit=1).held("..", "f", 1, fetch(1)):
        pytest.fail("there is no such file")


def test_what_a_killed_fetch_left_goes_when_room_is_needed(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, limit=SIZE)
    old, new = tmp_path / ".old", tmp_path / ".new"
    for path in (old, new):
        path.write_bytes(b"half")
    past = time.time() - ABANDONED_AFTER - 1
    os.utime(old, (past, past))
    use(cache, 1)
    assert not old.exists()
    assert new.exists(), "somebody may be writing it"


def _hammer(folder: Path, seed: int) -> None:
    cache, chosen = FileCache(folder, limit=4 * SIZE), random.Random(seed)  # noqa: S311
    for _ in range(150):
        number = chosen.randrange(8)
        with cache.held(digest(number), "file", SIZE, fetch(number)) as path:
            assert sha256_file(path) == digest(number)


def test_many_processes_and_threads_share_it(tmp_path: Path) -> None:
    processes = [get_context("spawn").Process(target=_hammer, args=(tmp_path, seed)) for seed in range(2)]
    for process in processes:
        process.start()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda seed: _hammer(tmp_path, seed), range(10, 13)))
    for process in processes:
        process.join()
        assert process.exitcode == 0
        process.close()
    use(FileCache(tmp_path, limit=4 * SIZE), 9)
    assert FileCache(tmp_path, limit=4 * SIZE).size() <= 4 * SIZE
