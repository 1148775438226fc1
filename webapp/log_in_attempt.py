"""One attempt to log in: how often is too often, and who it was."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

from flask import Response, make_response, request
from flask_babel import gettext as _
from flask_babel import ngettext

from storage_core import accounts, login_guard
from storage_core.models import User
from webapp.audit import audit
from webapp.extensions import db, settings


@dataclass(frozen=True)
class Attempt:
    """The account, or what to say and how long to wait before the next one."""

    user: User | None
    error: str = ""
    wait: timedelta | None = None


def attempt() -> Attempt:
    """Look at the name and the password of the form, unless there were too many of late; the audit log notes it."""
    name = request.form.get("name", "")
    noted = login_guard.noted_name(db.session(), settings(), name)
    wait = login_guard.wait_before_trying(db.session(), address=request.remote_addr or "", target=noted)
    if wait is not None:
        return Attempt(None, wait_words(wait), wait)
    user = accounts.verify_password(db.session(), name, request.form.get("password", ""))
    if user is None:
        audit("account.login_failed", noted, actor=noted)
    else:
        audit("account.logged_in", user.name, actor=user.name)
    db.session.commit()
    return Attempt(user, "" if user else _("The name or the password is wrong."))


def refusal(tried: Attempt, html: str) -> Response:
    """The form once more: 422, or 429 with the time to wait."""
    return make_response(html, 422) if tried.wait is None else too_often(tried.wait, html)


def too_often(wait: timedelta, html: str) -> Response:
    """A page that says when to try again, also to machines."""
    response = make_response(html, 429)
    response.headers["Retry-After"] = str(math.ceil(wait.total_seconds()))
    return response


def wait_words(wait: timedelta) -> str:
    """When the next attempt is looked at."""
    seconds = math.ceil(wait.total_seconds())
    if seconds <= 90:
        return ngettext(
            "Too many attempts. Try again in %(num)s second.",
            "Too many attempts. Try again in %(num)s seconds.",
            seconds,
        )
    minutes = math.ceil(seconds / 60)
    return ngettext(
        "Too many attempts. Try again in %(num)s minute.", "Too many attempts. Try again in %(num)s minutes.", minutes
    )
