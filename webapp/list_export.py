"""The list as CSV, written page by page while it is sent."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from flask import Response
from sqlalchemy import Engine

from storage_core.backtest_filters import Filters
from storage_core.backtest_list import LARGEST_PAGE, list_page
from storage_core.db import session_scope
from storage_core.models import Backtest
from storage_core.models.backtest import METRIC_COLUMNS

FIELDS: Final = (
    "task_id", "strategy", "params", "symbols", "timeframe", "start_date", "end_date", "status", "source",
    "created_at", "finished_at", *METRIC_COLUMNS, "tags", "pinned", "shared", "note", "error_message",
)  # fmt: skip
RISKY: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
"""A text that begins so would be a formula to a spreadsheet: it gets a ' before it."""


def csv_of(engine: Engine, *, owner_id: int | None, filters: Filters, sort: str) -> Response:
    """A file to save. The first page is read before the first byte goes out, so that an error is an error."""
    pages = _pages(engine, owner_id, filters, sort)
    first = next(pages)
    headers = {"Content-Disposition": 'attachment; filename="backtests.csv"'}
    return Response(_chain(first, pages), headers=headers, content_type="text/csv; charset=utf-8")


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _pages(engine: Engine, owner_id: int | None, filters: Filters, sort: str) -> Iterator[str]:
    head: list[list[str]] = [list(FIELDS)]
    after: str | None = None
    while True:
        with session_scope(engine) as session:
            found = list_page(session, owner_id=owner_id, after=after, size=LARGEST_PAGE, filters=filters, sort=sort)
            lines = [[_text(name, one) for name in FIELDS] for one in found.rows]
        yield _written(head + lines)
        head, after = [], found.older
        if after is None:
            return


def _written(lines: list[list[str]]) -> str:
    sink = io.StringIO()
    csv.writer(sink).writerows(lines)
    return sink.getvalue()


def _text(name: str, backtest: Backtest) -> str:
    value: Any = getattr(backtest, name)
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if name == "params":
        return json.dumps(value)
    if isinstance(value, list):
        value = " ".join(value) if name == "symbols" else ", ".join(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(value)
    return f"'{value}" if value.startswith(RISKY) else value
