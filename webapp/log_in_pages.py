"""The page of the log-in, and the page that asks whether to send what a log-out had kept from being sent."""

from __future__ import annotations

from flask import Response, make_response, render_template, request

from storage_core import accounts
from webapp.extensions import db
from webapp.unsent import Unsent

NO_STORE = "no-store"


def login_page(target: str, error: str = "", *, unsent: Unsent | None = None) -> str:
    """The form; what was not sent waits in it."""
    return render_template(
        "accounts/login.html",
        target=target,
        error=error,
        name=request.form.get("name", "") if request.endpoint == "accounts.login" else "",
        unsent=unsent,
        needs_setup=accounts.needs_setup(db.session()),
    )


def unsent_page(unsent: Unsent, status: int) -> Response:
    """Everything that was typed, to be sent with one click."""
    response = make_response(render_template("accounts/unsent.html", unsent=unsent), status)
    response.headers["Cache-Control"] = NO_STORE
    return response
