"""Accounts: the one-time setup link, new accounts, passwords (argon2id), and what people like to see."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from storage_core.account_fields import (
    LONGEST_PASSWORD,
    checked_language,
    checked_name,
    checked_password,
    checked_role,
    checked_theme,
    checked_timezone,
    possible_name,
)
from storage_core.db import utc_now
from storage_core.errors import AccountError, AlreadySetUp
from storage_core.models import User
from storage_core.settings import Settings

SETUP_LINK_SECONDS: Final = 24 * 3600
LOCAL_ID, LOCAL_NAME = 0, "(local)"
"""The account in whose name everybody acts under AUTH=none. It has no password, so nobody can log in to it, and a
name that nobody can choose."""
_hasher = PasswordHasher()
# Verified when the name is unknown, so that an unknown name takes as long as a wrong password.
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$Y29pbi1odHMtbm9ib2R5$S2aw7YzjaW54vCLlpzjBsJjd0sSzJKKOXxnwyHJLpwg"


def setup_token(settings: Settings) -> str:
    """A signed token for the link that creates the first account; good for a day, worthless once there is one."""
    return _signer(settings).dumps("first account")


def check_setup_token(settings: Settings, token: str) -> bool:
    """Whether `token` was made by `setup_token` with this secret key within the last day."""
    try:
        return bool(_signer(settings).loads(token, max_age=SETUP_LINK_SECONDS) == "first account")
    except (BadSignature, SignatureExpired):
        return False


def needs_setup(session: Session) -> bool:
    """Whether there is no account of a person yet."""
    return session.scalar(select(User.id).where(User.id != LOCAL_ID).limit(1)) is None


def create_first_account(
    session: Session, *, name: str, password: str, timezone: str = "UTC", theme: str = "auto"
) -> User:
    """Create the administrator, with id 1, so that of two people who open the link only one gets it.

    Raises AccountError (a bad name, password, time zone or theme) and AlreadySetUp. Does not commit.
    """
    user = User(
        id=1,
        name=checked_name(name),
        password_hash=password_hash(password, name),
        role="admin",
        timezone=checked_timezone(timezone),
        theme=checked_theme(theme),
    )
    if not needs_setup(session):
        raise AlreadySetUp
    session.add(user)
    try:
        session.flush()
    except IntegrityError as error:
        raise AlreadySetUp from error
    if session.get_bind().dialect.name == "postgresql":  # the id was given: move the sequence past it
        session.execute(text("SELECT setval(pg_get_serial_sequence('users', 'id'), 1)"))
    return user


def create_user(
    session: Session, *, name: str, role: str = "trader", timezone: str = "UTC", password: str | None = None
) -> User:
    """Create an account; without a password nobody can log in to it until its link (`account_links`) was used.

    Raises AccountError: a bad name, role, time zone or password, or a name that is taken. Does not commit.
    """
    user = User(
        name=checked_name(name),
        role=checked_role(role),
        timezone=checked_timezone(timezone),
        password_hash="" if password is None else password_hash(password, name),
    )
    if session.scalar(select(User.id).where(User.name == user.name)) is not None:
        raise _taken(user.name)
    session.add(user)
    try:
        session.flush()
    except IntegrityError as error:
        raise _taken(user.name) from error
    return user


def local_user(session: Session, *, timezone: str = "UTC") -> User:
    """The account of AUTH=none, an admin; made when it is not there yet, and then committed."""
    found = session.get(User, LOCAL_ID)
    if found is None:
        found = User(id=LOCAL_ID, name=LOCAL_NAME, role="admin", timezone=timezone, password_hash="")
        session.add(found)
        try:
            session.commit()
        except IntegrityError:  # another thread was faster
            session.rollback()
            found = session.get_one(User, LOCAL_ID)
    return found


def verify_password(session: Session, name: str, password: str, *, now: datetime | None = None) -> User | None:
    """The active account `name` when `password` is right, else None, after the same time. Notes the log-in."""
    possible = possible_name(name)
    user = session.scalar(select(User).where(User.name == possible, User.active)) if possible else None
    if user is None or not user.password_hash:
        is_password(None, password)
        return None
    if not is_password(user, password):
        return None
    if _hasher.check_needs_rehash(user.password_hash):
        user.password_hash = _hasher.hash(password)
    user.last_login_at = now or utc_now()
    session.flush()
    return user


def is_password(user: User | None, password: str) -> bool:
    """Whether `password` is that of `user`; nobody has one, but finding that out takes as long."""
    try:
        _hasher.verify(user.password_hash if user is not None else _NOBODY, password[:LONGEST_PASSWORD])
    except (VerifyMismatchError, InvalidHashError):
        return False
    return user is not None


def set_password(session: Session, user: User, password: str) -> None:
    """Give `user` a new password and end all sessions; raises AccountError when the password is not allowed."""
    user.password_hash = password_hash(password, user.name)
    end_sessions(session, user)


def password_hash(password: str, name: str) -> str:
    """What is stored of a password; raises AccountError when it is not allowed for the account `name`."""
    return _hasher.hash(checked_password(password, name))


def end_sessions(session: Session, user: User) -> None:
    """Log `user` out everywhere: every session cookie names a count, and only the newest count is good."""
    user.sessions = (user.sessions or 0) + 1
    session.flush()


def set_preferences(session: Session, user: User, *, timezone: str, theme: str, language: str | None = None) -> None:
    """Set the time zone, theme and language `user` likes (None = as it is); raises AccountError."""
    chosen = user.language if language is None else checked_language(language)
    user.timezone, user.theme, user.language = checked_timezone(timezone), checked_theme(theme), chosen
    session.flush()


def _signer(settings: Settings) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(settings.secret_key, salt="coin-hts first account")


def _taken(name: str) -> AccountError:
    return AccountError("name", repr(name), "a name that no other account has")
