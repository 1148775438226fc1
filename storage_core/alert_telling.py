"""Who has been told of which alert: messages go out at least once to each channel, and are noted after they are taken.

A channel is owed a message for each open alert that it has not heard of, and for each one that is over of which it has
heard. What is over before it was told is not told. After a day an end is no longer owed, after a minute a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage_core.alert_channels import Channel
from storage_core.alerts import LONGEST_MESSAGE, Problem, open_alerts, raise_, resolve
from storage_core.db import begin_to_write, utc_now
from storage_core.models import Alert
from storage_core.names import storable_text

State: TypeAlias = Literal["open", "resolved"]

OWED_FOR = timedelta(days=1)
TEST_FOR = timedelta(minutes=1)
MOST_AT_ONCE = 200
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=15), timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Owed:
    """One message that a channel is owed."""

    alert_id: int
    state: State
    kind: str
    message: str
    first_at: datetime
    over_at: datetime | None


def key_of(channel: Channel) -> str:
    """The key of the alert that this channel fails."""
    return f"channel:{channel.id}"


def owed(session: Session, channel: Channel, *, now: datetime | None = None) -> list[Owed]:
    """The messages that `channel` is owed, the oldest first. It is not told of its own failure."""
    now = now or utc_now()
    ended = select(Alert).where(Alert.resolved_at.is_not(None), Alert.last_at > now - OWED_FOR)
    rows = [
        *open_alerts(session, limit=MOST_AT_ONCE),
        *open_alerts(session, kind="test", limit=MOST_AT_ONCE),
        *session.scalars(ended.where(Alert.kind != "test").order_by(Alert.last_at.desc()).limit(MOST_AT_ONCE)),
    ]
    found = [(row, _state_owed(row, channel, now)) for row in rows if row.key != key_of(channel)]
    return sorted(
        (
            Owed(row.id, state, row.kind, row.message, row.first_at, row.resolved_at)
            for row, state in found
            if state is not None
        ),
        key=lambda one: one.first_at,
    )


def note_taken(session: Session, channel: Channel, messages: Sequence[Owed], *, now: datetime | None = None) -> None:
    """Note that `channel` has taken these, and works (again). Does not commit."""
    now = now or utc_now()
    for row, state in _rows(session, messages):
        row.told = {**row.told, channel.id: state}
        row.send_error = None
        if state == "open":
            row.told_at = row.told_at or now
        else:
            row.told_resolved_at = row.told_resolved_at or now
    resolve(session, key_of(channel), now=now)


def note_refused(
    session: Session, channel: Channel, messages: Sequence[Owed], *, why: str, now: datetime | None = None
) -> None:
    """Note that `channel` did not take these, and open the alert that it fails. Does not commit."""
    for row, _ in _rows(session, messages):
        row.send_error = storable_text(f"{channel.name}: {why}", LONGEST_MESSAGE)
    problem = Problem(
        f"The channel {channel.name} does not take messages: {why}", {"channel": channel.name, "why": why}
    )
    raise_(session, key_of(channel), kind="channel", problem=problem, now=now)


def rests(session: Session, channel: Channel, *, now: datetime | None = None) -> bool:
    """Whether `channel` has failed so lately that it is not tried again yet: 15 s, doubled up to half an hour.

    A test message that was asked for since then is tried at once.
    """
    failing = session.scalars(select(Alert).where(Alert.key == key_of(channel), Alert.resolved_at.is_(None))).first()
    if failing is None or any(test.first_at > failing.last_at for test in open_alerts(session, kind="test")):
        return False
    pause = min(FIRST_PAUSE * 2 ** min(failing.count - 1, 20), LONGEST_PAUSE)
    again_at: datetime = failing.last_at + pause
    return again_at > (now or utc_now())


def drop_removed(session: Session, channels: Sequence[Channel], *, now: datetime | None = None) -> None:
    """Resolve the failures of channels that are no longer set. Does not commit."""
    known = {key_of(channel) for channel in channels}
    for row in open_alerts(session, kind="channel"):
        if row.key not in known:
            resolve(session, row.key, now=now)


def _state_owed(row: Alert, channel: Channel, now: datetime) -> State | None:
    heard = row.told.get(channel.id)
    if row.kind == "test" and row.first_at < now - TEST_FOR:
        return None
    if row.resolved_at is None:
        return "open" if heard is None else None
    return "resolved" if heard == "open" else None


def _rows(session: Session, messages: Sequence[Owed]) -> list[tuple[Alert, State]]:
    """The alerts of these messages, locked in the order in which `alerts.settle` does."""
    begin_to_write(session)
    states = {one.alert_id: one.state for one in messages}
    query = select(Alert).where(Alert.id.in_(states)).order_by(Alert.key, Alert.id).with_for_update()
    rows = session.scalars(query, execution_options={"populate_existing": True})
    return [(row, states[row.id]) for row in rows]
