"""The one-time link with which a person chooses a password: an invitation, or after a password was lost.

A link is signed, good for three days, and names the state of the account it was made for. Using it changes that
state, so it works once; so does any other change of the password, and ending the account's sessions.
"""

from __future__ import annotations

import hashlib
from typing import Final

from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from storage_core.accounts import password_hash
from storage_core.models import User
from storage_core.settings import Settings

LINK_SECONDS: Final = 3 * 24 * 3600


def link_token(settings: Settings, user: User) -> str:
    """The token of a new link for `user`."""
    return _signer(settings).dumps([user.id, _state(user)])


def link_owner(session: Session, settings: Settings, token: str) -> User | None:
    """The active account that `token` is for; None when it is not ours, too old, or used."""
    try:
        user_id, state = _signer(settings).loads(token, max_age=LINK_SECONDS)
    except (BadSignature, SignatureExpired):
        return None
    user = session.scalar(select(User).where(User.id == user_id, User.active))
    return user if user is not None and _state(user) == state else None


def use_link(session: Session, settings: Settings, token: str, password: str) -> User | None:
    """Give the owner of `token` this password and end their sessions; None when the link is good no more.

    Of two uses at once one wins: the row changes only while it still is as the link says. Raises AccountError for a
    password that is not allowed; the link stays good then. Does not commit.
    """
    user = link_owner(session, settings, token)
    if user is None:
        return None
    unchanged = (User.id == user.id, User.password_hash == user.password_hash, User.sessions == user.sessions)
    statement = (
        update(User)
        .where(*unchanged, User.active)
        .values(password_hash=password_hash(password, user.name), sessions=User.sessions + 1)
        .returning(User.id)
    )
    if session.execute(statement, execution_options={"synchronize_session": False}).one_or_none() is None:
        return None
    session.refresh(user)
    return user


def _state(user: User) -> str:
    return hashlib.sha256(f"{user.password_hash} {user.sessions}".encode()).hexdigest()[:20]


def _signer(settings: Settings) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(settings.secret_key, salt="coin-hts account link")
