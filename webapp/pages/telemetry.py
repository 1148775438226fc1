"""/metrics for Prometheus.

Open to an admin: by session, or by an API token of an admin of any scope, as reading is all it does. Not to whoever
comes from this machine: behind a reverse proxy the whole world comes from there. METRICS_ACCESS=open is for a network
that nobody else reaches.
"""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response
from flask_login import current_user

from storage_core.models import User
from webapp.extensions import db, settings
from webapp.figures import CONTENT_TYPE, exposition
from webapp.login import REALM
from webapp.tokens import caller, carries_token

REFUSED: Final = "The figures are for admins: log in, or send the API token of an admin.\n"

blueprint = Blueprint("telemetry", __name__)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Every figure, in the text format of Prometheus."""
    if settings().metrics_access != "open" and not _is_admin():
        return Response(REFUSED, 401, {"WWW-Authenticate": REALM}, content_type="text/plain; charset=utf-8")
    return Response(exposition(), content_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})


def _is_admin() -> bool:
    if not carries_token():
        return bool(current_user.is_authenticated and current_user.is_admin)
    by = caller()
    user = db.session.get(User, by.person.id) if by is not None else None
    return user is not None and user.role == "admin"
