"""Logging in on top of a page whose session has ended: the page stays, with all that was typed into it."""

from __future__ import annotations

import json

from flask import Blueprint, Response, make_response, render_template, request
from flask_login import current_user
from flask_wtf.csrf import generate_csrf
from werkzeug.wrappers import Response as AnyResponse

from webapp import sessions
from webapp.log_in_attempt import attempt, refusal

blueprint = Blueprint("log_in_again", __name__, url_prefix="/login/again")


@blueprint.get("")
def form() -> Response:
    """The form of the log-in; or, when somebody has logged in meanwhile, what the page needs to go on."""
    return _go_on() if current_user.is_authenticated else _kept_by_nobody(make_response(_form("")))


@blueprint.get("/look")
def look() -> Response:
    """What a page at rest asks when somebody comes back to it: as above, or nothing when nobody is logged in."""
    return _go_on() if current_user.is_authenticated else _kept_by_nobody(Response(status=204))


@blueprint.post("")
def log_in() -> AnyResponse:
    """Name and password, as on the page of the log-in."""
    if current_user.is_authenticated:
        return _go_on()
    tried = attempt()
    if tried.user is None:
        return _kept_by_nobody(refusal(tried, _form(tried.error)))
    sessions.begin(tried.user)
    return _go_on()


def _form(error: str) -> str:
    return render_template("accounts/_again.html", name=request.values.get("name", ""), error=error)


def _go_on() -> Response:
    """An event of the page: the CSRF token of the new session, and whose it is."""
    response = Response(status=204)
    told = {"logged-in": {"token": generate_csrf(), "account": str(current_user.id)}}
    response.headers["HX-Trigger"] = json.dumps(told)
    return _kept_by_nobody(response)


def _kept_by_nobody(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
