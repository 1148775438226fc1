"""The list of backtests: pages by keyset, so that page 1,000 costs what page 1 costs."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import Session, defer

from storage_core.errors import BadCursor
from storage_core.models import Backtest

LARGEST_PAGE = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page, newest first. `newer` goes in `before=`, `older` in `after=`; None = there is no such page."""

    rows: Sequence[Backtest]
    newer: str | None
    older: str | None


def list_page(
    session: Session,
    *,
    owner_id: int | None = None,
    after: str | None = None,
    before: str | None = None,
    size: int = 25,
) -> Page:
    """One page of backtests that are not deleted. The rows come without `metadata_` and `spec`: use `get` for those.

    Raises BadCursor. `size` is cut to 1..200.
    """
    size = min(max(size, 1), LARGEST_PAGE)
    query = _visible(owner_id)
    key = tuple_(Backtest.created_at, Backtest.task_id)
    if before is not None:
        ascending = query.where(key > _read_cursor(before)).order_by(Backtest.created_at, Backtest.task_id)
        found = session.scalars(ascending.limit(size + 1)).all()
        rows = list(reversed(found[:size]))
        has_newer, has_older = len(found) > size, bool(rows)
    else:
        if after is not None:
            query = query.where(key < _read_cursor(after))
        descending = query.order_by(Backtest.created_at.desc(), Backtest.task_id.desc())
        found = session.scalars(descending.limit(size + 1)).all()
        rows = list(found[:size])
        has_newer, has_older = after is not None and bool(rows), len(found) > size
    return Page(rows, _cursor(rows[0]) if has_newer else None, _cursor(rows[-1]) if has_older else None)


def _visible(owner_id: int | None) -> Select[Backtest]:
    query = select(Backtest).where(Backtest.deleted_at.is_(None))
    query = query.options(defer(Backtest.metadata_, raiseload=True), defer(Backtest.spec, raiseload=True))
    return query if owner_id is None else query.where(Backtest.owner_id == owner_id)


def _cursor(row: Backtest) -> str:
    micros = (row.created_at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(json.dumps([micros, row.task_id.hex]).encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> Any:
    try:
        micros, task_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return tuple_(_EPOCH + timedelta(microseconds=micros), UUID(task_id))
    except (ValueError, TypeError, OverflowError, AttributeError, binascii.Error) as error:
        raise BadCursor(cursor) from error
