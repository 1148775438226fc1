"""The same thing done to many backtests at once: tag, pin, delete, and take a deletion back.

Ids that do not exist, are deleted or belong to somebody else are passed over, and the answers say how many were done.
What one call deletes carries one instant in `deleted_at`: by that it is found again to be restored as a whole.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Update, false, select, true, update
from sqlalchemy.orm import Session

from storage_core.backtest_keeping import LONGEST_TAG, MOST_TAGS, UNDO_FOR
from storage_core.db import begin_to_write, utc_now
from storage_core.errors import BadFilter
from storage_core.events import add_events
from storage_core.models import Backtest

MOST_AT_ONCE = 200
_ENDED = ("completed", "failed", "cancelled")


def tag(
    session: Session,
    task_ids: Collection[UUID],
    *,
    owner_id: int | None,
    add: Collection[str] = (),
    remove: Collection[str] = (),
) -> int:
    """Add tags to each backtest and remove others; how many were meant. `owner_id` None = anybody's.

    Raises BadFilter for a tag that cannot be, or when one would have too many. Does not commit.
    """
    fresh = {_clean_tag(text) for text in add}
    begin_to_write(session)
    _lock(session, *_meant(task_ids, owner_id))
    rows = session.execute(select(Backtest.task_id, Backtest.tags).where(*_meant(task_ids, owner_id))).all()
    for task_id, old in rows:
        tags = sorted({*old, *fresh} - set(remove))
        if len(tags) > MOST_TAGS:
            raise BadFilter("tags", f"{len(tags)} tags", f"at most {MOST_TAGS} for one backtest")
        if tags != old:
            _change(session, update(Backtest).where(Backtest.task_id == task_id).values(tags=tags))
    return len(rows)


def pin(session: Session, task_ids: Collection[UUID], *, owner_id: int | None, pinned: bool) -> int:
    """Pin each backtest, or take the pins off; how many were meant. Does not commit."""
    _lock(session, *_meant(task_ids, owner_id))
    return len(_change(session, update(Backtest).where(*_meant(task_ids, owner_id)).values(pinned=pinned)))


def delete(
    session: Session, task_ids: Collection[UUID], *, owner_id: int | None, by: str, now: datetime | None = None
) -> Sequence[UUID]:
    """Mark the ended ones that are not pinned as deleted at `now`; which ones. Does not commit."""
    now = now or utc_now()
    deletable = (Backtest.status.in_(_ENDED), Backtest.pinned == false())
    _lock(session, *_meant(task_ids, owner_id))
    statement = update(Backtest).where(*_meant(task_ids, owner_id), *deletable).values(deleted_at=now)
    gone = _change(session, statement)
    add_events(session, [(task_id, None) for task_id in gone], "deleted", actor=by, now=now)
    return gone


def restore(
    session: Session, deleted_at: datetime, *, owner_id: int | None, by: str, now: datetime | None = None
) -> Sequence[UUID]:
    """Take back what was deleted at exactly that instant, within the week; which ones. Does not commit."""
    now = now or utc_now()
    statement = update(Backtest).where(
        Backtest.deleted_at == deleted_at, Backtest.deleted_at >= now - UNDO_FOR, _owned(owner_id)
    )
    back = _change(session, statement.values(deleted_at=None))
    add_events(session, [(task_id, None) for task_id in back], "restored", actor=by, now=now)
    return back


def _lock(session: Session, *meant: ColumnElement[bool]) -> None:
    """Lock the rows in one order (PostgreSQL): two who mean the same ones do not wait for each other in a circle."""
    session.execute(select(Backtest.task_id).where(*meant).order_by(Backtest.task_id).with_for_update())


def _meant(task_ids: Collection[UUID], owner_id: int | None) -> tuple[ColumnElement[bool], ...]:
    if len(task_ids) > MOST_AT_ONCE:
        raise BadFilter("id", f"{len(task_ids)} backtests", f"at most {MOST_AT_ONCE} at once")
    return Backtest.task_id.in_(task_ids), Backtest.deleted_at.is_(None), _owned(owner_id)


def _owned(owner_id: int | None) -> ColumnElement[bool]:
    return true() if owner_id is None else Backtest.owner_id == owner_id


def _change(session: Session, statement: Update) -> Sequence[UUID]:
    changed = statement.returning(Backtest.task_id).execution_options(synchronize_session=False)
    found: Sequence[UUID] = session.execute(changed).scalars().all()
    return found


def _clean_tag(text: str) -> str:
    text = text.strip()
    if not 1 <= len(text) <= LONGEST_TAG or not text.isprintable() or "," in text:
        raise BadFilter("tags", text[: LONGEST_TAG + 1], f"1 to {LONGEST_TAG} printable characters without a comma")
    return text
