"""Which workers and clocks are alive: each writes a sign of life about every ten seconds.

A process that is told to stop removes its row; one that was killed leaves it, falls silent and is forgotten later.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from storage_core.db import insert_into, utc_now
from storage_core.models import Process

Kind: TypeAlias = Literal["worker", "worker-io", "clock"]

ALIVE_FOR = timedelta(seconds=30)
"""How old the last sign of life of a process may be that counts as alive: it has missed two."""
FORGOTTEN_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """What a process says of itself. `name` is host:pid, as the events have it; `task_id` what it works on now."""

    name: str
    kind: Kind
    pid: int
    started_at: datetime
    version: str = ""
    task_id: UUID | None = None


def sign_of_life(session: Session, sign: Sign, *, now: datetime | None = None) -> None:
    """Write that the process of `sign` lives. Does not commit."""
    facts = {
        "kind": sign.kind,
        "pid": sign.pid,
        "version": sign.version[:100],
        "started_at": sign.started_at,
        "seen_at": now or utc_now(),
        "task_id": sign.task_id,
    }
    row = insert_into(session, Process).values(name=sign.name, host=socket.gethostname()[:255], **facts)
    session.execute(row.on_conflict_do_update(index_elements=["name"], set_=facts))


def remove(session: Session, name: str) -> None:
    """Write that the process `name` has stopped. Does not commit."""
    session.execute(delete(Process).where(Process.name == name))


def alive(session: Session, now: datetime) -> Sequence[Process]:
    """The processes that gave a sign of life in the last 30 seconds, by kind and name."""
    return [one for one in listed(session) if one.seen_at >= now - ALIVE_FOR]


def listed(session: Session) -> Sequence[Process]:
    """Every process that has not been forgotten, the silent ones included, by kind and name."""
    return session.scalars(select(Process).order_by(Process.kind, Process.name)).all()


def forget_silent(session: Session, *, now: datetime | None = None) -> None:
    """Remove those that fell silent an hour ago. Does not commit."""
    session.execute(delete(Process).where(Process.seen_at < (now or utc_now()) - FORGOTTEN_AFTER))
