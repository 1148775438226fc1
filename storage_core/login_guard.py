"""Slows down guessing: refused log-ins are counted in the audit log, by address and by name.

The log is in the database, so a restart forgets nothing and every web process counts the same.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from storage_core.account_fields import possible_name
from storage_core.db import utc_now
from storage_core.models import AuditEntry, User
from storage_core.settings import Settings

REFUSED: Final = ("account.login_failed", "account.password_refused")
BY_ADDRESS: Final = ((10, timedelta(minutes=1)), (60, timedelta(hours=1)))
BY_NAME: Final = ((10, timedelta(minutes=15)),)
"""So many refusals within so long; then nothing is tried until the oldest of them is that old."""


def wait_before_trying(session: Session, *, address: str, target: str, now: datetime | None = None) -> timedelta | None:
    """How long `address`, or whoever tries the name noted as `target`, has to wait; None = try now."""
    now = now or utc_now()
    limits = [
        *((AuditEntry.address == address, count, within) for count, within in BY_ADDRESS if address),
        *((AuditEntry.target == target, count, within) for count, within in BY_NAME),
    ]
    waits = [wait for limit in limits if (wait := _wait(session, limit, now)) is not None]
    return max(waits, default=None)


def noted_name(session: Session, settings: Settings, name: str) -> str:
    """How a refused log-in notes the name: as it is when there is such an account, else only a keyed digest.

    People type passwords into the wrong field; the log must not keep them. The digest counts like a name, so that
    being slowed down does not tell which names exist.
    """
    possible = possible_name(name)
    if possible is not None and session.scalar(select(User.id).where(User.name == possible)) is not None:
        return possible
    digest = hmac.new(settings.secret_key.encode(), name.strip().lower().encode("utf-8", "replace"), hashlib.sha256)
    return f"(unknown {digest.hexdigest()[:12]})"


def _wait(session: Session, limit: tuple[ColumnElement[bool], int, timedelta], now: datetime) -> timedelta | None:
    who, count, within = limit
    found = session.scalars(
        select(AuditEntry.at)
        .where(AuditEntry.action.in_(REFUSED), AuditEntry.at > now - within, who)
        .order_by(AuditEntry.at.desc())
        .limit(count)
    ).all()
    return found[-1] + within - now if len(found) == count else None
