"""First account, log in, log out, and the one-time link with which a person chooses a password."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flask import Blueprint, Response, abort, make_response, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response as AnyResponse

from storage_core import account_links, accounts
from storage_core.account_fields import checked_name, checked_password, checked_timezone
from storage_core.db import utc_now
from storage_core.errors import AccountError, AlreadySetUp
from storage_core.models import User
from webapp import sessions
from webapp.addresses import local_path
from webapp.audit import audit
from webapp.extensions import db, limiter, settings
from webapp.htmx import go_to
from webapp.language import CHOSEN
from webapp.log_in_attempt import attempt, refusal
from webapp.log_in_pages import login_page, unsent_page
from webapp.phrases import refused
from webapp.unsent import unpacked

blueprint = Blueprint("accounts", __name__)

ATTEMPTS: Final = "10 per minute; 60 per hour"
LOOKING: Final = ("GET", "HEAD")  # a probe that asks for no more than the headers tries no password


@blueprint.route("/setup", methods=["GET", "POST"])
@limiter.limit(ATTEMPTS, methods=["POST"])
def setup() -> AnyResponse:
    """The one-time page behind the signed link: creates the first account, an admin."""
    token = request.values.get("token", "")
    if not accounts.needs_setup(db.session()):
        return go_to(url_for("accounts.login"))
    if not accounts.check_setup_token(settings(), token):
        abort(403, _("This set-up link is not valid or too old. Print a new one with: flask setup-link"))
    if request.method in LOOKING:
        return _setup_form(token, {}, 200)
    if mistakes := _mistakes():
        return _setup_form(token, mistakes, 422)
    try:
        user = _create_first()
    except AccountError as error:
        db.session.rollback()
        return _setup_form(token, said(error), 422)
    except AlreadySetUp:
        db.session.rollback()
        return go_to(url_for("accounts.login"))
    return _enter(user, url_for("home.page"))


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> AnyResponse:
    """Name and password; `next` leads back to where the person wanted to go."""
    target = local_path(request.values.get("next"))
    if current_user.is_authenticated:
        return go_to(target)
    if request.method in LOOKING:
        return make_response(login_page(target))
    unsent = unpacked(request.form.get("unsent", ""))
    tried = attempt()
    if tried.user is None:
        return refusal(tried, login_page(target, tried.error, unsent=unsent))
    if unsent is None:
        return _enter(tried.user, target)
    sessions.begin(tried.user)
    return unsent_page(unsent, 200)


@blueprint.post("/logout")
def logout() -> AnyResponse:
    """Forget the session."""
    audit("account.logged_out", current_user.name)
    db.session.commit()
    sessions.end()
    return go_to(url_for("accounts.login"))


@blueprint.route("/welcome", methods=["GET", "POST"])
@limiter.limit(ATTEMPTS, methods=["POST"])
def welcome() -> AnyResponse:
    """The page behind an invitation or a reset link: the person chooses a password, once."""
    token = request.values.get("token", "")
    owner = account_links.link_owner(db.session(), settings(), token)
    if owner is None:
        abort(403, _("This link was used already, or is too old. Ask an admin for a new one."))
    if request.method in LOOKING:
        return _welcome_form(owner, token, {}, 200)
    password = request.form.get("password", "")
    try:
        _same_twice(password)
        user = account_links.use_link(db.session(), settings(), token, password)
    except AccountError as error:
        db.session.rollback()
        return _welcome_form(owner, token, said(error), 422)
    if user is None:  # somebody else used it a moment ago
        abort(403, _("This link was used already, or is too old. Ask an admin for a new one."))
    _keep_language(user)
    user.last_login_at = utc_now()
    audit("account.link_used", user.name, actor=user.name)
    db.session.commit()
    return _enter(user, url_for("home.page"))


def said(error: AccountError) -> dict[str, str]:
    """What is wrong with a field, by its name."""
    return {error.field: refused(error.was, error.allowed)}


def _same_twice(password: str) -> None:
    if password != request.form.get("repeated", ""):
        raise AccountError("repeated", "different", "the same password twice")


def _mistakes() -> dict[str, str]:
    """What is wrong with each field of the first account."""
    form, mistakes = request.form, dict[str, str]()
    name, password = form.get("name", ""), form.get("password", "")
    checks: tuple[Callable[[], object], ...] = (
        lambda: checked_name(name),
        lambda: checked_password(password, name),
        lambda: _same_twice(password),
        lambda: checked_timezone(_timezone()),
    )
    for check in checks:
        try:
            check()
        except AccountError as error:
            mistakes |= said(error)
    return mistakes


def _timezone() -> str:
    return request.form.get("timezone", "").strip() or settings().timezone


def _create_first() -> User:
    form = request.form
    user = accounts.create_first_account(
        db.session(),
        name=form.get("name", ""),
        password=form.get("password", ""),
        timezone=_timezone(),
    )
    _keep_language(user)
    user.last_login_at = utc_now()
    audit("account.set_up", user.name, actor=user.name)
    db.session.commit()
    return user


def _keep_language(user: User) -> None:
    """The language chosen on the page that made the account or its password is the account's."""
    if chosen := session.get(CHOSEN):
        accounts.set_preferences(db.session(), user, timezone=user.timezone, theme=user.theme, language=chosen)


def _enter(user: User, target: str) -> Response:
    sessions.begin(user)
    return go_to(target)


def _setup_form(token: str, errors: dict[str, str], status: int) -> Response:
    values = {
        "name": request.form.get("name", ""),
        "timezone": request.form.get("timezone", settings().timezone),
    }
    return make_response(render_template("accounts/setup.html", token=token, values=values, errors=errors), status)


def _welcome_form(owner: User, token: str, errors: dict[str, str], status: int) -> Response:
    html = render_template("accounts/welcome.html", name=owner.name, token=token, errors=errors)
    response = make_response(html, status)
    response.headers["Cache-Control"] = "no-store"
    return response
