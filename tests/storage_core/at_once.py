"""Acts that begin at the same moment."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event


def together(*acts: Callable[[], object]) -> None:
    """Run the acts in threads that start at the same moment; raises what the first of them raised."""
    barrier = threading.Barrier(len(acts))

    def run(act: Callable[[], object]) -> None:
        barrier.wait()
        act()

    with ThreadPoolExecutor(len(acts)) as pool:
        for done in [pool.submit(run, act) for act in acts]:
            done.result()


@contextmanager
def just_after(engine: Engine, statement: str, act: Callable[[], object]) -> Iterator[list[str]]:
    """Do `act` when `engine` has executed the first statement that begins so; the answer holds it then."""
    seen: list[str] = []

    def executed(connection: Any, cursor: Any, sql: str, *rest: Any) -> None:
        if sql.startswith(statement) and not seen:
            seen.append(sql)
            act()

    event.listen(engine, "after_cursor_execute", executed)
    try:
        yield seen
    finally:
        event.remove(engine, "after_cursor_execute", executed)
