"""Who is asking: sessions, and the rule that every page but a few needs a login."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Response, abort, redirect, request, url_for
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response as AnyResponse

from webapp import sessions
from webapp.errors import answer, for_machine
from webapp.extensions import csrf, login
from webapp.htmx import is_htmx
from webapp.people import Person
from webapp.problems import problem
from webapp.tokens import caller, carries_token, missing_scope

API: Final = "/api/v1/"
REALM: Final = 'Bearer realm="coin-hts"'
OPEN_ENDPOINTS: Final = frozenset(
    {
        "accounts.setup",
        "accounts.login",
        "accounts.welcome",
        "health.healthz",
        "health.readyz",
        "static",
        "telemetry.metrics",  # it asks for an admin by itself, by session or token
    }
)


def person() -> Person:
    """The logged-in person, or the one that the request's token speaks for."""
    by = caller() if request.path.startswith(API) else None
    found: Person = by.person if by is not None else current_user._get_current_object()
    return found


def need_trader() -> None:
    """Refuse a viewer."""
    if not person().may_run:
        abort(403, _("Your account may look, not run. Ask an admin for the role trader."))


def need_admin() -> None:
    """Refuse everybody but an admin."""
    if not person().is_admin:
        abort(403, _("This is for admins."))


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
    login.session_protection = None  # sessions.py says how long a session lives; a changed browser is no reason
    sessions.init_app(app)
    login.user_loader(sessions.load)
    login.request_loader(lambda _request: sessions.load_local())

    @app.before_request
    def close_the_door() -> AnyResponse | None:
        if request.path.startswith(API):
            return _door_of_the_api()
        csrf.protect(apply_exemptions=True)
        if request.endpoint in OPEN_ENDPOINTS or current_user.is_authenticated:
            return None
        return _please_log_in()


def _door_of_the_api() -> AnyResponse | None:
    """A token, or a session with its CSRF token; never one to help out the other."""
    if not carries_token():
        if not current_user.is_authenticated:
            return _please_log_in()
        csrf.protect(apply_exemptions=True)
        return None
    by = caller()
    if by is None:
        detail = "The token is unknown, expired or revoked; make one on your account page."
        return _challenge(answer(401, detail), f'{REALM}, error="invalid_token"')
    if scope := missing_scope(by):
        refused = problem("scope_missing", f"This needs a token with the scope {scope}.", scope=scope, has=by.scope)
        return _challenge(refused, f'{REALM}, error="insufficient_scope", scope="{scope}"')
    return None


def _challenge(response: Response, how: str) -> Response:
    response.headers["WWW-Authenticate"] = how
    return response


def _please_log_in() -> AnyResponse:
    if for_machine():
        return _challenge(answer(401), REALM)
    wanted = request.full_path.rstrip("?") if request.method == "GET" else None
    if is_htmx():
        shown = urlsplit(request.headers.get("HX-Current-URL", ""))
        back = local_path(f"{shown.path}?{shown.query}" if shown.query else shown.path)
        return Response(status=401, headers={"HX-Redirect": url_for("accounts.login", next=back)})
    return redirect(url_for("accounts.login", next=wanted if wanted not in (None, "/") else None), 303)
