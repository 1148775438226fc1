"""Alerts: what is wrong now, noted once, and when it was over.

An alert is open from the moment its condition is found until it is found to be over. Its `key` names the condition;
finding it again adds to the count of the same row, so that one condition is one alert however often it is looked at.
Whom it was told to is in `alert_telling`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from storage_core.db import utc_now
from storage_core.models import Alert
from storage_core.names import storable_json, storable_text

KINDS: Mapping[str, str] = {
    "backtest": "a backtest failed in every attempt",
    "queue": "the queue does not move, or its server does not answer",
    "worker": "no worker gives a sign of life",
    "disk": "a disk is filling up",
    "backup": "a backup or a rehearsal is overdue",
    "integrity": "a stored result is not what was stored",
    "stores": "results miss a form that the storage mode asks for",
    "channel": "a channel of alerts does not take messages",
    "test": "a test message, asked for by an admin",
}
MOST_NAMED = 50
KEPT_FOR, TEST_KEPT_FOR = timedelta(days=400), timedelta(hours=1)
LONGEST_KEY, LONGEST_MESSAGE = 200, 1_000


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, as a sentence for people, and facts for programs."""

    message: str
    detail: Mapping[str, Any] = field(default_factory=dict)


def raise_(session: Session, key: str, *, kind: str, problem: Problem, now: datetime | None = None) -> bool:
    """Note that the condition `key` holds; True when it is new. Does not commit.

    While it is open, its message and detail are those of the last time. Two clocks that find it at once make one row.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; allowed: {', '.join(KINDS)}")
    now, key = now or utc_now(), storable_text(key, LONGEST_KEY)
    message, detail = storable_text(problem.message, LONGEST_MESSAGE), storable_json(problem.detail, LONGEST_MESSAGE)
    facts = {"message": message, "detail": detail, "last_at": now}
    if _again(session, key, facts):
        return False
    try:
        with session.begin_nested():
            session.add(Alert(key=key, kind=kind, first_at=now, **facts))
    except IntegrityError:  # another clock was faster
        _again(session, key, facts)
        return False
    return True


def resolve(session: Session, key: str, *, now: datetime | None = None) -> bool:
    """Note that the condition `key` is over; False when it was not open. Does not commit."""
    now = now or utc_now()
    over = update(Alert).where(Alert.key == key[:LONGEST_KEY], Alert.resolved_at.is_(None))
    changed = session.execute(
        over.values(resolved_at=now, last_at=now).returning(Alert.id), execution_options={"synchronize_session": False}
    )
    return changed.first() is not None


def settle(
    session: Session,
    kind: str,
    found: Mapping[str, Problem],
    *,
    prefix: str = "",
    still: Collection[str] = (),
    now: datetime | None = None,
) -> None:
    """Make the open alerts of `kind` those in `found`, by key: raise these, resolve the others. Does not commit.

    Only keys that begin with `prefix` are looked at. Those in `still` are known to hold although they are not in
    `found`, and are left as they are.
    """
    of_kind = (Alert.kind == kind, Alert.key.startswith(prefix, autoescape=True), Alert.resolved_at.is_(None))
    known = session.scalars(select(Alert.key).where(*of_kind)).all()
    for key in sorted({*known, *found}):  # in one order: two clocks do not wait for each other in a circle
        if key in found:
            raise_(session, key, kind=kind, problem=found[key], now=now)
        elif key not in still:
            resolve(session, key, now=now)


def few(found: Mapping[str, Problem], *, more: str, what: str) -> dict[str, Problem]:
    """The first 50 of `found`, and one under the key `more` that says how many others there are: a flood tells nothing.

    `what` names them in that sentence: "results that are damaged".
    """
    named = dict(islice(found.items(), MOST_NAMED))
    left = len(found) - len(named)
    return named | ({more: Problem(f"{left:,} more {what}", {"count": left})} if left else {})


def open_alerts(session: Session, *, kind: str | None = None, limit: int = 200) -> Sequence[Alert]:
    """What is wrong now, the newest first; tests of the channels are left out unless asked for."""
    of_kind = Alert.kind != "test" if kind is None else Alert.kind == kind
    query = select(Alert).where(Alert.resolved_at.is_(None), of_kind)
    return session.scalars(query.order_by(Alert.first_at.desc(), Alert.id.desc()).limit(limit)).all()


def past_alerts(session: Session, *, limit: int = 50) -> Sequence[Alert]:
    """What was wrong, what ended last first."""
    query = select(Alert).where(Alert.resolved_at.is_not(None), Alert.kind != "test")
    return session.scalars(query.order_by(Alert.last_at.desc(), Alert.id.desc()).limit(limit)).all()


def count_open(session: Session) -> dict[str, int]:
    """How many alerts are open, by kind; answered from the index of the open ones, however many there were."""
    rows = session.execute(
        select(Alert.kind, func.count()).where(Alert.resolved_at.is_(None), Alert.kind != "test").group_by(Alert.kind)
    )
    return dict(rows.all())


def forget(session: Session, *, now: datetime | None = None) -> None:
    """End tests that nobody waits for, remove what was over 400 days ago. Does not commit."""
    now = now or utc_now()
    for test in open_alerts(session, kind="test"):
        if test.first_at < now - TEST_KEPT_FOR:
            resolve(session, test.key, now=now)
    before = now - KEPT_FOR
    session.execute(delete(Alert).where(Alert.last_at < before, Alert.resolved_at.is_not(None)))


def _again(session: Session, key: str, facts: Mapping[str, Any]) -> bool:
    same = update(Alert).where(Alert.key == key, Alert.resolved_at.is_(None))
    changed = session.execute(
        same.values(count=Alert.count + 1, **facts).returning(Alert.id),
        execution_options={"synchronize_session": False},
    )
    return changed.first() is not None
