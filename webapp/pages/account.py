"""A person's account: the tokens of their programs."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, Response, abort, flash, make_response, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from storage_core import api_tokens
from storage_core.errors import AccountError
from storage_core.models import SCOPES
from webapp.audit import audit
from webapp.extensions import db
from webapp.htmx import go_to
from webapp.login import person

blueprint = Blueprint("account", __name__, url_prefix="/account")


@blueprint.get("")
def page() -> Response:
    """The tokens, and the form for a new one."""
    return _show()


@blueprint.post("/tokens")
def create_token() -> Response:
    """Make a token; the answer shows it, the only time."""
    form = request.form
    days = form.get("days", "")
    try:
        token, text = api_tokens.create(
            db.session(),
            owner_id=person().id,
            name=form.get("name", ""),
            scope=form.get("scope", ""),
            days=int(days) if days.isascii() and days.isdigit() and len(days) < 6 else 0,
        )
    except AccountError as error:
        db.session.rollback()
        return _show(errors={error.field: f"Was {error.was}; allowed: {error.allowed}."}, status=422)
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
    flash("The token is revoked: programs that use it are refused from now on.")
    return go_to(url_for("account.page"))


def _show(*, made: dict[str, str] | None = None, errors: dict[str, str] | None = None, status: int = 200) -> Response:
    now = datetime.now(UTC)
    tokens = [
        {"row": token, "live": api_tokens.is_live(token, now)} for token in api_tokens.listed(db.session(), person().id)
    ]
    html = render_template(
        "account/page.html",
        tokens=tokens,
        made=made,
        errors=errors or {},
        values=_typed() if errors else {"scope": "read", "days": api_tokens.DEFAULT_DAYS},
        scopes=SCOPES if person().role == "admin" else SCOPES[:2],
    )
    response = make_response(html, status)
    if made:
        response.headers["Cache-Control"] = "no-store"
    return response


def _typed() -> dict[str, str]:
    """What was typed, without what no page may hold."""
    return {name: "".join(filter(str.isprintable, text[:100])) for name, text in request.form.items()}
