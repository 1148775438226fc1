"""Names slow queries in the log: the statement as it was sent, never its parameters."""

from __future__ import annotations

import time
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, event

SLOW_SECONDS = 0.5
LONGEST_STATEMENT = 2_000
_BEGAN = "coin_hts_query_began"

log = structlog.get_logger("queries")


def watch_queries(engine: Engine) -> None:
    """From now on, log each query of `engine` that takes longer than half a second. Costs a microsecond or two each."""
    if not event.contains(engine, "before_cursor_execute", _begin):
        event.listen(engine, "before_cursor_execute", _begin)
        event.listen(engine, "after_cursor_execute", _end)


def _begin(connection: Connection, *_: Any) -> None:
    connection.info[_BEGAN] = time.perf_counter()


def _end(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
    seconds = time.perf_counter() - connection.info.pop(_BEGAN, time.perf_counter())
    if seconds > SLOW_SECONDS:
        text = " ".join(statement.split())[:LONGEST_STATEMENT]
        log.warning("slow query", seconds=round(seconds, 3), statement=text)
