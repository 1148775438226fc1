"""First account, log in, log out."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response, abort, make_response, render_template, request, session, url_for
from flask_login import current_user, login_user, logout_user
from werkzeug.wrappers import Response as AnyResponse

from storage_core import accounts
from storage_core.errors import AccountError, AlreadySetUp
from storage_core.models import User
from webapp.extensions import db, limiter, settings
from webapp.htmx import go_to
from webapp.login import local_path
from webapp.people import Person

blueprint = Blueprint("accounts", __name__)

ATTEMPTS: Final = "10 per minute; 60 per hour"
WRONG: Final = "The name or the password is wrong."


@blueprint.route("/setup", methods=["GET", "POST"])
@limiter.limit(ATTEMPTS, methods=["POST"])
def setup() -> AnyResponse:
    """The one-time page behind the signed link: creates the first account, an admin."""
    token = request.values.get("token", "")
    if not accounts.needs_setup(db.session()):
        return go_to(url_for("accounts.login"))
    if not accounts.check_setup_token(settings(), token):
        abort(403, "This set-up link is not valid or too old. Print a new one with: flask setup-link")
    if request.method == "GET":
        return _setup_form(token, {}, 200)
    try:
        user = _create_first()
    except AccountError as error:
        db.session.rollback()
        return _setup_form(token, {error.field: f"Was {error.was}; allowed: {error.allowed}."}, 422)
    except AlreadySetUp:
        db.session.rollback()
        return go_to(url_for("accounts.login"))
    return _enter(user, url_for("home.page"))


@blueprint.route("/login", methods=["GET", "POST"])
@limiter.limit(ATTEMPTS, methods=["POST"])
def login() -> AnyResponse:
    """Name and password; `next` leads back to where the person wanted to go."""
    target = local_path(request.values.get("next"))
    if current_user.is_authenticated:
        return go_to(target)
    if request.method == "GET":
        return make_response(_login_page(target, ""))
    name = request.form.get("name", "")
    user = accounts.verify_password(db.session(), name, request.form.get("password", ""))
    if user is None:
        return make_response(_login_page(target, WRONG), 422)
    db.session.commit()
    return _enter(user, target)


@blueprint.post("/logout")
def logout() -> AnyResponse:
    """Forget the session."""
    logout_user()
    session.clear()
    return go_to(url_for("accounts.login"))


def _create_first() -> User:
    form = request.form
    if form.get("password", "") != form.get("repeated", ""):
        raise AccountError("repeated", "different", "the same password twice")
    user = accounts.create_first_account(
        db.session(),
        name=form.get("name", ""),
        password=form.get("password", ""),
        timezone=form.get("timezone", "").strip() or settings().timezone,
    )
    db.session.commit()
    return user


def _enter(user: User, target: str) -> Response:
    session.clear()  # nothing that was in the session before the login survives it
    login_user(Person.of(user))
    return go_to(target)


def _setup_form(token: str, errors: dict[str, str], status: int) -> Response:
    values = {
        "name": request.form.get("name", ""),
        "timezone": request.form.get("timezone", settings().timezone),
    }
    return make_response(render_template("accounts/setup.html", token=token, values=values, errors=errors), status)


def _login_page(target: str, error: str) -> str:
    return render_template(
        "accounts/login.html",
        target=target,
        error=error,
        name=request.form.get("name", ""),
        needs_setup=accounts.needs_setup(db.session()),
    )
