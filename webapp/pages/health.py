"""Whether the web process is alive, and whether it is ready: for supervisors and load balancers, without a login."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from webapp.readiness import readiness

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Alive; asks nobody else, so a slow database does not get the process restarted."""
    return _answer({"status": "alive"})


@blueprint.get("/readyz")
def readyz() -> Response:
    """Whether everything that a backtest needs is there; 503 when it is not, with the name of what is missing."""
    checks = readiness()
    ready = all(check.ok for check in checks)
    told = {check.name: {"ok": check.ok, **({"why": check.why} if check.why else {})} for check in checks}
    return _answer({"status": "ready" if ready else "not ready", "checks": told}, 200 if ready else 503)


def _answer(body: dict[str, object], status: int = 200) -> Response:
    response = jsonify(body)
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    return response
