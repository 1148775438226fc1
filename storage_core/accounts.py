"""Accounts: the one-time setup link, the first account, and passwords (argon2id)."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from storage_core.db import utc_now
from storage_core.errors import AccountError, AlreadySetUp
from storage_core.models import THEMES, User
from storage_core.settings import Settings

SETUP_LINK_SECONDS = 24 * 3600
SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 1024
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,79}")
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
    """Whether there is no account yet."""
    return session.scalar(select(User.id).limit(1)) is None


def create_first_account(
    session: Session, *, name: str, password: str, timezone: str = "UTC", theme: str = "auto"
) -> User:
    """Create the administrator, with id 1, so that of two people who open the link only one gets it.

    Raises AccountError (a bad name, password, time zone or theme) and AlreadySetUp. Does not commit.
    """
    user = User(
        id=1,
        name=_checked_name(name),
        password_hash=_hasher.hash(_checked_password(password)),
        role="admin",
        timezone=_checked_timezone(timezone),
        theme=_checked_theme(theme),
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


def names(session: Session) -> dict[int, str]:
    """The name of every account by its id."""
    return dict(session.execute(select(User.id, User.name).order_by(User.name)).tuples().all())


def verify_password(session: Session, name: str, password: str, *, now: datetime | None = None) -> User | None:
    """The active account `name` when `password` is right, else None, after the same time. Notes the log-in."""
    user = session.scalar(select(User).where(User.name == name.strip().lower(), User.active))
    try:
        _hasher.verify(user.password_hash if user is not None else _NOBODY, password[:LONGEST_PASSWORD])
    except (VerifyMismatchError, InvalidHashError):
        return None
    if user is None:
        return None
    if _hasher.check_needs_rehash(user.password_hash):
        user.password_hash = _hasher.hash(password)
    user.last_login_at = now or utc_now()
    session.flush()
    return user


def set_password(session: Session, user: User, password: str) -> None:
    """Give `user` a new password; raises AccountError when it is too short or too long."""
    user.password_hash = _hasher.hash(_checked_password(password))
    session.flush()


def set_preferences(session: Session, user: User, *, timezone: str, theme: str) -> None:
    """Set the time zone and theme `user` likes; raises AccountError."""
    user.timezone, user.theme = _checked_timezone(timezone), _checked_theme(theme)
    session.flush()


def _signer(settings: Settings) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(settings.secret_key, salt="coin-hts first account")


def _checked_name(name: str) -> str:
    cleaned = name.strip().lower()
    if not _NAME.fullmatch(cleaned):
        raise AccountError(
            "name", repr(name[:100]), "1 to 80 letters, digits, or . _ @ + -, starting with a letter or digit"
        )
    return cleaned


def _checked_password(password: str) -> str:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise AccountError("password", f"{len(password)} characters long", f"{SHORTEST_PASSWORD} to {LONGEST_PASSWORD}")
    return password


def _checked_timezone(timezone: str) -> str:
    try:
        return ZoneInfo(timezone).key
    except (KeyError, ValueError, OSError):
        raise AccountError("timezone", repr(timezone[:60]), "a name such as UTC, Asia/Seoul or Europe/Berlin") from None


def _checked_theme(theme: str) -> str:
    if theme not in THEMES:
        raise AccountError("theme", repr(theme[:20]), ", ".join(THEMES))
    return theme
