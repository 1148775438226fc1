"""Rows for tests of the list, its pages one after the other, and cursors as somebody could make them up."""

import base64
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, insert

from storage_core.backtest_list import list_page
from storage_core.db import session_scope
from storage_core.models import Backtest
from tests.storage_core.examples import spec

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ME, OTHER = 1, 2


def made(number: int, **values: Any) -> dict[str, Any]:
    """A row as it is stored."""
    return {
        "task_id": uuid.UUID(int=(number * 7919) % 1000),
        "strategy": "sma_cross",
        "symbols": ["KRW-BTC"],
        "timeframe": "1h",
        "start_date": date(2024, 1, 1),
        "end_date": date(2024, 2, 1),
        "status": "completed",
        "source": "web",
        "params": {},
        "spec": spec(),
        "created_at": NOON + timedelta(minutes=number // 3),  # three at a time have the very same instant
        **values,
    }


def fill(engine: Engine, rows: list[dict[str, Any]]) -> list[uuid.UUID]:
    with session_scope(engine) as session:
        for row in rows:
            session.execute(insert(Backtest).values(**row))
    return [row["task_id"] for row in rows]


def pages(engine: Engine, *, size: int, back: bool = False, **question: Any) -> Iterator[list[uuid.UUID]]:
    """Page after page to the end; `back`: to the end, and then page by page back to the start."""
    cursor: dict[str, Any] = {}
    while True:
        with session_scope(engine) as session:
            page = list_page(session, size=size, **cursor, **question)
        if not back:
            yield [row.task_id for row in page.rows]
        if page.older is None:
            break
        cursor = {"after": page.older}
    while back:
        yield [row.task_id for row in page.rows]
        if page.newer is None:
            return
        with session_scope(engine) as session:
            page = list_page(session, size=size, before=page.newer, **question)


def written(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")
