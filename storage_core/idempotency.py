"""Requests that may be sent twice: the first is worked on, all others get its answer.

A key is claimed by inserting its row, so of two that come at once only one is worked on. The row also says which id a
backtest made by the request gets: should the process die in the middle, whoever repeats the request after
`LOCKED_FOR` finds the backtest under that id instead of making a second one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from storage_core.db import insert_into, utc_now
from storage_core.models import IdempotencyKey

KEPT_FOR = timedelta(hours=24)
LOCKED_FOR = timedelta(minutes=2)
_PLAIN = {"synchronize_session": False}


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a key says. `mine`: work on the request, then `remember` or `forget`. Else `answer`, None = not yet there.

    `matches` is False when the key was used for another request.
    """

    owner_id: int
    key: str
    task_id: UUID
    mine: bool = False
    matches: bool = True
    answer: Mapping[str, Any] | None = None


def claim(session: Session, owner_id: int, key: str, fingerprint: str, *, now: datetime | None = None) -> Ticket:
    """Take the key for this request, or learn what it was used for. The caller commits at once."""
    now = now or utc_now()
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.expires_at <= now), execution_options=_PLAIN)
    task_id = uuid4()
    values = {
        "owner_id": owner_id,
        "key": key,
        "fingerprint": fingerprint,
        "task_id": task_id,
        "created_at": now,
        "locked_until": now + LOCKED_FOR,
        "expires_at": now + KEPT_FOR,
    }
    first = insert_into(session, IdempotencyKey).values(**values).on_conflict_do_nothing()
    row = None
    while row is None:  # whoever was first may free the key between the two looks
        if session.execute(first.returning(IdempotencyKey.key)).one_or_none() is not None:
            return Ticket(owner_id, key, task_id, mine=True)
        row = session.scalars(select(IdempotencyKey).where(*_is(owner_id, key)).with_for_update()).one_or_none()
    if row.fingerprint != fingerprint:
        return Ticket(owner_id, key, row.task_id, matches=False)
    return Ticket(owner_id, key, row.task_id, mine=_taken_over(session, row, now), answer=row.answer)


def remember(session: Session, ticket: Ticket, answer: Mapping[str, Any]) -> None:
    """Keep the answer for everybody who repeats the request."""
    mine = update(IdempotencyKey).where(*_is(ticket.owner_id, ticket.key), IdempotencyKey.task_id == ticket.task_id)
    session.execute(mine.values(answer=dict(answer)), execution_options=_PLAIN)


def forget(session: Session, ticket: Ticket) -> None:
    """Free the key: the request was refused and has done nothing."""
    mine = delete(IdempotencyKey).where(*_is(ticket.owner_id, ticket.key), IdempotencyKey.task_id == ticket.task_id)
    session.execute(mine.where(IdempotencyKey.answer.is_(None)), execution_options=_PLAIN)


def unlock(session: Session, ticket: Ticket, *, now: datetime | None = None) -> None:
    """Let the next one who repeats the request go on with it: something broke on our side."""
    mine = update(IdempotencyKey).where(*_is(ticket.owner_id, ticket.key), IdempotencyKey.task_id == ticket.task_id)
    session.execute(mine.values(locked_until=now or utc_now()), execution_options=_PLAIN)


def _taken_over(session: Session, row: IdempotencyKey, now: datetime) -> bool:
    """Whether this request goes on where another one died."""
    if row.answer is not None or row.locked_until > now:
        return False
    stale = (IdempotencyKey.answer.is_(None), IdempotencyKey.locked_until == row.locked_until)
    taken = session.execute(
        update(IdempotencyKey)
        .where(*_is(row.owner_id, row.key), *stale)
        .values(locked_until=now + LOCKED_FOR)
        .returning(IdempotencyKey.key),
        execution_options=_PLAIN,
    ).one_or_none()
    return taken is not None


def _is(owner_id: int, key: str) -> tuple[Any, Any]:
    return IdempotencyKey.owner_id == owner_id, IdempotencyKey.key == key
