"""Who is asking: sessions, and the rule that every page but a few needs a login."""

from __future__ import annotations

from typing import Final

from flask import Flask, Response, abort, make_response, redirect, request, url_for
from flask_babel import gettext as _
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from werkzeug.wrappers import Response as AnyResponse

from webapp import sessions
from webapp.addresses import from_our_page, local_path, page_before
from webapp.errors import answer, for_machine
from webapp.extensions import csrf, login
from webapp.htmx import go_to, is_htmx, wants_login
from webapp.log_in_pages import login_page, unsent_page
from webapp.people import Person
from webapp.problems import problem
from webapp.tokens import caller, carries_token, missing_scope
from webapp.unsent import of_request, unpacked

API: Final = "/api/v1/"
REALM: Final = 'Bearer realm="coin-hts"'
OPEN_ENDPOINTS: Final = frozenset(
    {
        "accounts.setup",
        "accounts.login",
        "accounts.welcome",
        "health.healthz",
        "health.readyz",
        "log_in_again.form",
        "log_in_again.log_in",
        "log_in_again.look",
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
        if request.endpoint not in OPEN_ENDPOINTS and not current_user.is_authenticated:
            return _please_log_in()
        try:
            csrf.protect(apply_exemptions=True)
        except CSRFError:
            if (response := _from_an_old_page()) is None:
                raise
            return response
        return None


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
    if is_htmx():
        return wants_login(answer(401))
    if (unsent := of_request()) is not None:
        return _challenge(make_response(login_page(unsent.page, unsent=unsent), 401), REALM)
    wanted = request.full_path.rstrip("?") if request.method == "GET" else page_before()
    return redirect(url_for("accounts.login", next=wanted if wanted != "/" else None), 303)


def _from_an_old_page() -> AnyResponse | None:
    """What a page of ours sent whose CSRF token another log-in has made worthless, or another secret key; else None."""
    if request.endpoint == "accounts.login" and from_our_page():
        if current_user.is_authenticated:
            return go_to(local_path(request.form.get("next")))
        why = _("This page had become too old. Please log in once more.")
        target, unsent = local_path(request.form.get("next")), unpacked(request.form.get("unsent", ""))
        return make_response(login_page(target, why, unsent=unsent), 400)
    if not current_user.is_authenticated:
        return None
    unsent = of_request()
    return None if unsent is None else unsent_page(unsent, 400)
