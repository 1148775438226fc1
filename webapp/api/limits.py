"""How much one caller may ask for, and from which web sites scripts may call."""

from __future__ import annotations

import math
import time
from typing import Final

from flask import Flask, Response, request
from flask_limiter.util import get_remote_address
from flask_login import current_user

from webapp.extensions import limiter, settings
from webapp.tokens import caller

API: Final = "/api/v1/"
METHODS: Final = "GET, POST, PATCH, DELETE"
REQUEST_HEADERS: Final = "Authorization, Content-Type, Idempotency-Key"
SHOWN_HEADERS: Final = (
    "Link, Location, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Idempotency-Replayed"
)
UNLIMITED: Final = "1000000000 per second"


def who() -> str:
    """Whose requests are counted together: those of a token, of a person, or of an address without either."""
    by = caller()
    if by is not None:
        return f"token {by.token_id}"
    return f"person {current_user.id}" if current_user.is_authenticated else f"address {get_remote_address()}"


limited = limiter.shared_limit(
    lambda: settings().api_rate_limit or UNLIMITED,
    scope="api",
    key_func=who,
    exempt_when=lambda: settings().api_rate_limit is None,
)


def init_app(app: Flask) -> None:
    """Answer the preflight of allowed web sites; tell every caller what is left."""

    @app.before_request
    def preflight() -> Response | None:
        asked = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        if not asked or not _allowed_origin():
            return None
        headers = {
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": REQUEST_HEADERS,
            "Access-Control-Max-Age": "600",
        }
        return Response(status=204, headers=headers)

    @app.after_request
    def tell(response: Response) -> Response:
        if request.path.startswith(API):
            _tell_limits(response)
            _tell_origin(response)
        return response


def _tell_limits(response: Response) -> None:
    now = limiter.current_limit
    if now is None:
        return
    left = str(max(0, math.floor(now.reset_at - time.time())))
    response.headers["RateLimit-Limit"] = str(now.limit.amount)
    response.headers["RateLimit-Remaining"] = str(max(0, now.remaining))
    response.headers["RateLimit-Reset"] = left
    if response.status_code == 429:
        response.headers["Retry-After"] = left


def _tell_origin(response: Response) -> None:
    if not settings().cors_origins:
        return
    response.vary.add("Origin")
    if _allowed_origin():
        response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        response.headers["Access-Control-Expose-Headers"] = SHOWN_HEADERS


def _allowed_origin() -> bool:
    """Only the API, only exact origins; never with cookies, so a session is of no use to another site."""
    return request.path.startswith(API) and request.headers.get("Origin") in settings().cors_origins
