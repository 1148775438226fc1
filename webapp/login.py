"""Who is asking: sessions, and the rule that every page but a few needs a login."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Response, abort, redirect, request, url_for
from flask_login import UserMixin, current_user
from werkzeug.wrappers import Response as AnyResponse

from storage_core.models import Backtest, User
from webapp.errors import answer, for_machine
from webapp.extensions import db, login
from webapp.htmx import is_htmx

OPEN_ENDPOINTS: Final = frozenset({"accounts.setup", "accounts.login", "health.healthz", "static"})


@dataclass(frozen=True)
class Person(UserMixin):
    """The logged-in account, detached from the database."""

    id: int
    name: str
    role: str
    timezone: str

    @classmethod
    def of(cls, user: User) -> Person:
        """The person behind an account row."""
        return cls(id=user.id, name=user.name, role=user.role, timezone=user.timezone)

    @property
    def may_run(self) -> bool:
        """Whether this person may submit and cancel."""
        return self.role in ("trader", "admin")

    @property
    def sees_all(self) -> bool:
        """Whether other people's backtests are visible."""
        return self.role == "admin"

    @property
    def sees_owner(self) -> int | None:
        """The owner that lists are limited to; None for everybody's."""
        return None if self.sees_all else self.id

    def sees(self, backtest: Backtest) -> bool:
        """Their own, what belongs to nobody (the sample), and everything for an admin."""
        return self.sees_all or backtest.owner_id in (None, self.id)


def person() -> Person:
    """The logged-in person."""
    found: Person = current_user._get_current_object()
    return found


def need_trader() -> None:
    """Refuse a viewer."""
    if not person().may_run:
        abort(403, "Your account may look, not run. Ask an admin for the role trader.")


def local_path(target: str | None) -> str:
    """`target` when it is a path on this site, else the home page: no open redirects."""
    home = url_for("home.page")
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")) or "\\" in target:
        return home
    if any(ord(character) < 0x20 for character in target):
        return home
    parts = urlsplit(target)
    return home if parts.scheme or parts.netloc else target


def init_app(app: Flask) -> None:
    """Load the person of a session and close every page that is not open on purpose."""
    login.init_app(app)
    login.session_protection = "basic"

    @login.user_loader
    def load(identity: str) -> Person | None:
        user = db.session.get(User, int(identity)) if identity.isdigit() else None
        return Person.of(user) if user is not None and user.active else None

    @app.before_request
    def close_the_door() -> AnyResponse | None:
        if request.endpoint in OPEN_ENDPOINTS or current_user.is_authenticated:
            return None
        return _please_log_in()


def _please_log_in() -> AnyResponse:
    if for_machine():
        return answer(401)
    wanted = request.full_path.rstrip("?") if request.method == "GET" else None
    if is_htmx():
        shown = urlsplit(request.headers.get("HX-Current-URL", "")).path
        return Response(status=401, headers={"HX-Redirect": url_for("accounts.login", next=local_path(shown))})
    return redirect(url_for("accounts.login", next=wanted if wanted not in (None, "/") else None), 303)
