"""Sessions: renewed at every log-in, ended by the account's count, by a week of rest, or after a month.

The cookie is signed, not encrypted: it holds the account's number, a count, two times and the CSRF token, no secret.
"""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import Final

from flask import Flask, session
from flask_login import login_user

from storage_core import accounts
from storage_core.models import User
from webapp import language
from webapp.extensions import db, settings
from webapp.people import Person

AT_REST: Final = timedelta(days=7)
IN_ALL: Final = timedelta(days=30)
REFRESHED_EVERY: Final = timedelta(hours=1)
"""A cookie is sent again once an hour at most, so that most answers carry none."""


def init_app(app: Flask) -> None:
    """How long a session lasts without a request."""
    app.config.update(PERMANENT_SESSION_LIFETIME=AT_REST, SESSION_REFRESH_EACH_REQUEST=False)


def begin(user: User) -> None:
    """Log `user` in with a new session: of the old one nothing survives, its CSRF token included, but the language."""
    chosen = user.language or session.get(language.CHOSEN)
    session.clear()
    if chosen:
        session[language.CHOSEN] = chosen
    session.permanent = True
    session["since"] = session["seen"] = int(time.time())
    login_user(Person.of(user))


def end() -> None:
    """Log out of this session."""
    session.clear()


def load(identity: str) -> Person | None:
    """The person of a session, unless the session is over or the account closed."""
    now = int(time.time())
    if now - session.get("since", now) > IN_ALL.total_seconds():
        return None
    number, _, count = identity.partition(".")
    user = db.session.get(User, int(number)) if re.fullmatch(r"[0-9]{1,9}", number) else None
    if user is None or not may_act(user) or str(user.sessions) != (count or "0"):
        return None
    if now - session.get("seen", now) > REFRESHED_EVERY.total_seconds():
        session["seen"] = now
    return Person.of(user)


def may_act(user: User) -> bool:
    """Whether anybody may act in the name of this account; in that of AUTH=none only as long as that is set."""
    return user.active and (user.id != accounts.LOCAL_ID or settings().auth == "none")


def load_local() -> Person | None:
    """With AUTH=none: who asks when nobody is logged in, an admin of this machine."""
    if settings().auth != "none":
        return None
    return Person.of(accounts.local_user(db.session(), timezone=settings().timezone))
