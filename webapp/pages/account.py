"""A person's own account: password, what they like to see, sessions, and the tokens of their programs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, abort, flash, make_response, render_template, request, url_for
from flask_babel import force_locale
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from storage_core import accounts, api_tokens, login_guard
from storage_core.errors import AccountError
from storage_core.models import LANGUAGES, SCOPES, THEMES, User
from webapp import sessions
from webapp.audit import audit
from webapp.extensions import db, settings
from webapp.htmx import go_to
from webapp.language import LANGUAGES as LANGUAGE_NAMES
from webapp.language import before_login, remember
from webapp.log_in_attempt import too_often, wait_words
from webapp.login import person
from webapp.pages.accounts import said

blueprint = Blueprint("account", __name__, url_prefix="/account")


@blueprint.get("")
def page() -> Response:
    """Everything about the own account."""
    return _show()


@blueprint.post("/password")
def change_password() -> AnyResponse:
    """Another password, for who knows the current one; all other sessions end."""
    user, form = _own_row(), request.form
    wait = login_guard.wait_before_trying(db.session(), address=request.remote_addr or "", target=user.name)
    if wait is not None:
        return too_often(wait, _show(errors={"current": wait_words(wait)}).get_data(as_text=True))
    if not accounts.is_password(user, form.get("current", "")):
        audit("account.password_refused", user.name)
        db.session.commit()
        return _show(errors={"current": _("This is not your current password.")}, status=422)
    if form.get("password", "") != form.get("repeated", ""):
        return _show(errors={"repeated": _("Not the same as the new password above.")}, status=422)
    try:
        accounts.set_password(db.session(), user, form.get("password", ""))
    except AccountError as error:
        db.session.rollback()
        return _show(errors=said(error), status=422)
    audit("account.password_changed", user.name)
    db.session.commit()
    sessions.begin(user)
    flash(_("The password is changed. Everywhere else you are logged out."))
    return go_to(url_for("account.page"))


@blueprint.post("/preferences")
def change_preferences() -> AnyResponse:
    """Time zone, theme and language."""
    form = request.form
    try:
        accounts.set_preferences(
            db.session(),
            _own_row(),
            timezone=form.get("timezone", "").strip(),
            theme=form.get("theme", ""),
            language=form.get("language", ""),
        )
    except AccountError as error:
        db.session.rollback()
        return _show(errors=said(error), status=422)
    db.session.commit()
    remember(form.get("language", ""))
    with force_locale(before_login()):  # what has just been chosen
        flash(_("Saved."))
    return go_to(url_for("account.page"))


@blueprint.post("/sessions/end")
def end_sessions() -> AnyResponse:
    """Log out everywhere but here."""
    user = _own_row()
    accounts.end_sessions(db.session(), user)
    audit("account.sessions_ended", user.name)
    db.session.commit()
    sessions.begin(user)
    flash(_("Everywhere else you are logged out."))
    return go_to(url_for("account.page"))


@blueprint.post("/tokens")
def create_token() -> Response:
    """Make a token; the answer shows it, the only time."""
    form = request.form
    days, scope = form.get("days", ""), form.get("scope", "")
    if scope == "admin" and not person().is_admin:
        return _show(errors={"scope": _("Only admins make tokens with this scope.")}, status=422)
    try:
        token, text = api_tokens.create(
            db.session(),
            owner_id=person().id,
            name=form.get("name", ""),
            scope=scope,
            days=int(days) if days.isascii() and days.isdigit() and len(days) < 6 else 0,
        )
    except AccountError as error:
        db.session.rollback()
        return _show(errors=said(error), status=422)
    audit("token.created", token.name, scope=token.scope, expires=token.expires_at.date())
    db.session.commit()
    return _show(made={"name": token.name, "text": text})


@blueprint.post("/tokens/<int:token_id>/revoke")
def revoke_token(token_id: int) -> AnyResponse:
    """Stop a token for good."""
    if not api_tokens.revoke(db.session(), person().id, token_id):
        abort(404)
    audit("token.revoked", token_id)
    db.session.commit()
    flash(_("The token is revoked: programs that use it are refused from now on."))
    return go_to(url_for("account.page"))


def _own_row() -> User:
    return db.session.get_one(User, person().id)


def _show(*, made: dict[str, str] | None = None, errors: dict[str, str] | None = None, status: int = 200) -> Response:
    now = datetime.now(UTC)
    tokens = [
        {"row": token, "live": api_tokens.is_live(token, now)} for token in api_tokens.listed(db.session(), person().id)
    ]
    html = render_template(
        "account/page.html",
        user=person(),
        has_password=settings().auth == "password",
        tokens=tokens,
        made=made,
        errors=errors or {},
        values=_values(typed=bool(errors)),
        scopes=SCOPES if person().is_admin else SCOPES[:2],
        languages={code: LANGUAGE_NAMES.get(code, _("as the browser asks")) for code in LANGUAGES},
        themes=dict(zip(THEMES, (_("as the system"), _("light"), _("dark")), strict=True)),
    )
    response = make_response(html, status)
    if made:
        response.headers["Cache-Control"] = "no-store"
    return response


def _values(*, typed: bool) -> dict[str, Any]:
    """What stands in the fields: what was typed, without what no page may hold, else what is stored."""
    me = person()
    stored = {
        "timezone": me.timezone,
        "theme": me.theme,
        "language": me.language,
        "name": "",
        "scope": "read",
        "days": str(api_tokens.DEFAULT_DAYS),
    }
    if not typed:
        return stored
    given = {name: "".join(filter(str.isprintable, text[:100])) for name, text in request.form.items()}
    return {**stored, **{name: text for name, text in given.items() if name in stored}}
