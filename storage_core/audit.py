"""The audit log: who did what, when and from where. Rows are only ever added, and go after 400 days.

An entry is written in the transaction of the action that it tells of, so that neither exists without the other.
Names are `family.verb`: `account.logged_in`, `backtest.deleted`. What people typed is stored without control
characters, so that no entry can break a line of an export, a log or a terminal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, literal, select, tuple_
from sqlalchemy.orm import Session

from storage_core.db import UtcDateTime, utc_now
from storage_core.errors import BadCursor
from storage_core.models import AuditEntry

KEPT_FOR = timedelta(days=400)
MOST_ROWS = 500
LONGEST_DETAIL_TEXT, MOST_DETAILS, DEEPEST = 500, 50, 4
_CURSOR = re.compile(r"([0-9]{1,17})-([0-9]{1,18})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class AuditFilters:
    """What to look for; empty or None = anything. `target` is the beginning of it, `until` is exclusive."""

    actor: str = ""
    action: str = ""
    target: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries, the newest first, and the cursors of the pages beside them (None: there is none)."""

    rows: Sequence[AuditEntry]
    newer: str | None
    older: str | None


def record(
    session: Session,
    *,
    actor: str,
    action: str,
    target: str = "",
    detail: Mapping[str, Any] | None = None,
    address: str = "",
    request_id: str = "",
    now: datetime | None = None,
) -> None:
    """Write that `actor` did `action` to `target`. Too long a text is cut. Never put a secret here. Does not commit."""
    session.add(
        AuditEntry(
            at=now or utc_now(),
            actor=plain_text(actor, 100),
            action=plain_text(action, 60),
            target=plain_text(target, 200),
            detail=_plain(dict(detail or {}), DEEPEST),
            address=plain_text(address, 60),
            request_id=plain_text(request_id, 40),
        )
    )
    session.flush()


def list_entries(
    session: Session,
    filters: AuditFilters | None = None,
    *,
    after: str | None = None,
    before: str | None = None,
    size: int = 50,
) -> AuditPage:
    """A page, the newest first: `after` = older than that cursor, `before` = newer. Raises BadCursor."""
    size = min(max(size, 1), MOST_ROWS)
    backwards = before is not None and after is None
    cursor = before if backwards else after
    rows = list(session.scalars(_page(filters or AuditFilters(), cursor, backwards=backwards).limit(size + 1)))
    more, rows = len(rows) > size, rows[:size]
    if backwards:
        rows.reverse()
    newer = rows and (more if backwards else cursor is not None)
    older = rows and (more if not backwards else True)
    return AuditPage(rows, _cursor(rows[0]) if newer else None, _cursor(rows[-1]) if older else None)


def actions(session: Session) -> Sequence[str]:
    """Every action in the log, in alphabetical order."""
    return session.scalars(select(AuditEntry.action).distinct().order_by(AuditEntry.action)).all()


def purge(session: Session, *, now: datetime | None = None) -> int:
    """Let go of entries older than 400 days; says how many. Does not commit."""
    gone = session.execute(delete(AuditEntry).where(AuditEntry.at < (now or utc_now()) - KEPT_FOR))
    return int(getattr(gone, "rowcount", 0))


def plain_text(text: str, longest: int) -> str:
    """`text` on one line: what is not printable becomes a question mark, what is too long is cut."""
    return "".join(character if character.isprintable() else "?" for character in text[:longest])


def _page(filters: AuditFilters, cursor: str | None, *, backwards: bool) -> Select[AuditEntry]:
    place = tuple_(AuditEntry.at, AuditEntry.id)
    order = (AuditEntry.at.asc(), AuditEntry.id.asc()) if backwards else (AuditEntry.at.desc(), AuditEntry.id.desc())
    statement = select(AuditEntry).where(*_conditions(filters)).order_by(*order)
    if cursor is None:
        return statement
    at, number = _read_cursor(cursor)
    edge = tuple_(literal(at, UtcDateTime()), literal(number))
    return statement.where(place > edge if backwards else place < edge)


def _conditions(filters: AuditFilters) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if filters.actor:
        found.append(AuditEntry.actor == filters.actor)
    if filters.action:
        found.append(AuditEntry.action == filters.action)
    if filters.target:
        found.append(AuditEntry.target.startswith(filters.target, autoescape=True))
    if filters.since is not None:
        found.append(AuditEntry.at >= filters.since)
    if filters.until is not None:
        found.append(AuditEntry.at < filters.until)
    return found


def _cursor(entry: AuditEntry) -> str:
    return f"{(entry.at - _EPOCH) // timedelta(microseconds=1)}-{entry.id}"


def _read_cursor(cursor: str) -> tuple[datetime, int]:
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise BadCursor(cursor)
    return _EPOCH + timedelta(microseconds=int(found[1])), int(found[2])


def _plain(value: Any, depth: int) -> Any:
    """JSON of bounded size: texts on one line and cut, collections cut, whatever is no JSON as text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # no NaN or infinity in JSON
    if isinstance(value, Mapping) and depth:
        items = list(value.items())[:MOST_DETAILS]
        return {plain_text(str(key), 60): _plain(inner, depth - 1) for key, inner in items}
    if isinstance(value, list | tuple | set | frozenset) and depth:
        return [_plain(inner, depth - 1) for inner in list(value)[:MOST_DETAILS]]
    return plain_text(str(value), LONGEST_DETAIL_TEXT)
