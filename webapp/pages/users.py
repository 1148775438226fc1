"""Users, for admins: who has an account, in which role; new accounts and one-time links."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, make_response, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from storage_core import account_admin, account_links, accounts
from storage_core.errors import AccountError, LastAdmin
from storage_core.models import ROLES, User
from webapp import phrases
from webapp.audit import audit
from webapp.context.users import ctx_user
from webapp.extensions import db, settings
from webapp.htmx import go_to
from webapp.login import need_admin, person
from webapp.pages.accounts import said

blueprint = Blueprint("users", __name__, url_prefix="/users")

blueprint.before_request(need_admin)


@blueprint.get("")
def page() -> Response:
    """All accounts, and the form for a new one."""
    return _show()


@blueprint.post("")
def create() -> AnyResponse:
    """A new account: with a one-time link for its owner, or with a first password."""
    form = request.form
    by_link = form.get("access", "link") != "password"
    try:
        user = accounts.create_user(
            db.session(),
            name=form.get("name", ""),
            role=form.get("role", ""),
            timezone=settings().timezone,
            password=None if by_link else form.get("password", ""),
        )
    except AccountError as error:
        db.session.rollback()
        return _show(errors=said(error), status=422)
    audit("user.created", user.name, role=user.role)
    db.session.commit()
    if by_link:
        return _show(link=_link(user))
    flash(_("%(name)s can log in now. Tell them the password, and to change it.", name=user.name))
    return go_to(url_for("users.page"))


@blueprint.post("/<int:user_id>/role")
def set_role(user_id: int) -> AnyResponse:
    """Another role, from the person's next click on."""
    try:
        user = account_admin.set_role(db.session(), user_id, request.form.get("role", ""))
    except AccountError as error:
        db.session.rollback()
        return _show(errors={"list": said(error)["role"]}, status=422)
    except LastAdmin as error:
        return _refused(error)
    audit("user.role_changed", user.name, role=user.role)
    db.session.commit()
    flash(_("%(name)s is now %(role)s.", name=user.name, role=phrases.said(user.role)))
    return go_to(url_for("users.page"))


@blueprint.post("/<int:user_id>/deactivate")
def deactivate(user_id: int) -> AnyResponse:
    """Close an account at once: sessions and tokens too. What it owns stays."""
    try:
        user = account_admin.deactivate(db.session(), user_id)
    except LastAdmin as error:
        return _refused(error)
    audit("user.deactivated", user.name)
    db.session.commit()
    flash(_("%(name)s is out: sessions and tokens have ended.", name=user.name))
    return go_to(url_for("users.page"))


@blueprint.post("/<int:user_id>/reactivate")
def reactivate(user_id: int) -> AnyResponse:
    """Open a closed account again."""
    user = account_admin.reactivate(db.session(), user_id)
    audit("user.reactivated", user.name)
    db.session.commit()
    flash(_("%(name)s can log in again.", name=user.name))
    return go_to(url_for("users.page"))


@blueprint.post("/<int:user_id>/link")
def make_link(user_id: int) -> Response:
    """A one-time link with which its owner chooses a new password."""
    user = account_admin.get_user(db.session(), user_id)
    if not user.active:
        return _show(
            errors={"list": _("%(name)s is deactivated; reactivate the account first.", name=user.name)}, status=422
        )
    audit("user.link_made", user.name)
    db.session.commit()
    return _show(link=_link(user))


def _refused(error: LastAdmin) -> Response:
    db.session.rollback()
    words = _("%(name)s is the last admin who can log in. Make somebody else an admin first.", name=error.name)
    return _show(errors={"list": words}, status=422)


def _link(user: User) -> dict[str, str]:
    token = account_links.link_token(settings(), user)
    return {"name": user.name, "address": url_for("accounts.welcome", token=token, _external=True)}


def _show(*, link: dict[str, str] | None = None, errors: dict[str, str] | None = None, status: int = 200) -> Response:
    me = person().id
    html = render_template(
        "users/page.html",
        users=[ctx_user(user, me) for user in account_admin.list_users(db.session())],
        link=link,
        errors=errors or {},
        values=_typed() if errors else {"name": "", "role": "trader", "access": "link"},
        roles=_roles(),
    )
    response = make_response(html, status)
    if link:
        response.headers["Cache-Control"] = "no-store"
    return response


def _roles() -> dict[str, str]:
    words = (_("looks only"), _("runs backtests"), _("looks after everything"))
    return dict(zip(ROLES, words, strict=True))


def _typed() -> dict[str, Any]:
    """What was typed, without the password."""
    given = {name: request.form.get(name, "")[:100] for name in ("name", "role", "access")}
    return {name: "".join(filter(str.isprintable, text)) for name, text in given.items()}
