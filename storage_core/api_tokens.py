"""Tokens for programs: made once, shown once, kept as a sha256 only.

A token is `chts_` and 256 random bits, so a plain digest is enough to keep it: there is nothing to guess. It acts in
the name of its owner, whose role still counts, and stops with its expiry, its revocation or the owner's account.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from storage_core.db import utc_now
from storage_core.errors import AccountError
from storage_core.models import SCOPES, ApiToken, User

PREFIX = "chts_"
DEFAULT_DAYS, MOST_DAYS = 90, 3650
LONGEST_NAME, MOST_TOKENS = 80, 50
NOTED_EVERY = timedelta(minutes=1)
"""How exact `last_used_at` is: a busy token costs one write a minute, not one a request."""
_TOKEN = re.compile(re.escape(PREFIX) + r"[A-Za-z0-9_-]{43}")


def create(
    session: Session, *, owner_id: int, name: str, scope: str, days: int = DEFAULT_DAYS, now: datetime | None = None
) -> tuple[ApiToken, str]:
    """A new token of `owner_id` and the text to give to its user, which nobody can read again.

    Raises AccountError for a bad name, scope or number of days (1 to 3650), or when there are too many.
    """
    now = now or utc_now()
    name = name.strip()
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise AccountError("name", repr(name[:LONGEST_NAME]), f"1 to {LONGEST_NAME} printable characters")
    if scope not in SCOPES:
        raise AccountError("scope", repr(scope[:20]), ", ".join(SCOPES))
    if not 1 <= days <= MOST_DAYS:
        raise AccountError("days", str(days)[:20], f"1 to {MOST_DAYS}")
    if len([token for token in listed(session, owner_id) if is_live(token, now)]) >= MOST_TOKENS:
        raise AccountError("name", f"token number {MOST_TOKENS + 1}", f"at most {MOST_TOKENS} at a time; revoke one")
    text = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken(
        owner_id=owner_id,
        name=name,
        hint=text[: len(PREFIX) + 4],
        sha256=digest(text),
        scope=scope,
        created_at=now,
        expires_at=now + timedelta(days=days),
    )
    session.add(token)
    session.flush()
    return token, text


def find(session: Session, text: str, *, now: datetime | None = None) -> tuple[ApiToken, User] | None:
    """The live token `text` and its active owner, or None."""
    if not _TOKEN.fullmatch(text):
        return None
    found = session.execute(
        select(ApiToken, User)
        .join(User, User.id == ApiToken.owner_id)
        .where(ApiToken.sha256 == digest(text), ApiToken.revoked_at.is_(None), User.active)
    ).one_or_none()
    if found is None or not is_live(found[0], now or utc_now()):
        return None
    return found[0], found[1]


def note_use(session: Session, token: ApiToken, *, now: datetime | None = None) -> bool:
    """Write down that the token was used, once a minute at most; says whether there was anything to write."""
    now = now or utc_now()
    if token.last_used_at is not None and now - token.last_used_at < NOTED_EVERY:
        return False
    older = or_(ApiToken.last_used_at.is_(None), ApiToken.last_used_at < now)
    session.execute(update(ApiToken).where(ApiToken.id == token.id, older).values(last_used_at=now))
    return True


def listed(session: Session, owner_id: int) -> Sequence[ApiToken]:
    """All tokens of a person, the newest first."""
    return session.scalars(select(ApiToken).where(ApiToken.owner_id == owner_id).order_by(ApiToken.id.desc())).all()


def revoke(session: Session, owner_id: int, token_id: int, *, now: datetime | None = None) -> bool:
    """Stop a token of this person for good; again is harmless. False when there is none."""
    mine = (ApiToken.id == token_id) & (ApiToken.owner_id == owner_id)
    if session.scalar(select(ApiToken.id).where(mine)) is None:
        return False
    session.execute(update(ApiToken).where(mine, ApiToken.revoked_at.is_(None)).values(revoked_at=now or utc_now()))
    return True


def is_live(token: ApiToken, now: datetime) -> bool:
    """Whether the token works at this instant."""
    return token.revoked_at is None and now < token.expires_at


def allows(scope: str, wanted: str) -> bool:
    """Whether a token of `scope` may do what needs `wanted`."""
    return SCOPES.index(scope) >= SCOPES.index(wanted)


def digest(text: str) -> str:
    """What is stored of a token: the sha256 of its text."""
    return hashlib.sha256(text.encode()).hexdigest()
