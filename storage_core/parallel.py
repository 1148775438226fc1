"""Many small waits at once: a few threads, results in order, a bounded number of items under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")
THREADS, AHEAD = 8, 64


def in_parallel(
    work: Callable[[Item], Answer], items: Iterable[Item], *, threads: int = THREADS, ahead: int = AHEAD
) -> Generator[tuple[Item, Answer], None, None]:
    """Each item with the answer of `work`, in the order of the items; at most `ahead` are taken beforehand.

    The first error is raised in its turn; what has not begun then never does. Close it when you stop early.
    """
    under_way: deque[tuple[Item, Future[Answer]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="parallel")
    try:
        for item in items:
            under_way.append((item, pool.submit(work, item)))
            if len(under_way) >= ahead:
                first, future = under_way.popleft()
                yield first, future.result()
        while under_way:
            first, future = under_way.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
