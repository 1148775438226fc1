"""Errors for programs (RFC 9457): every one has a stable `code`, explained on the page of the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flask import Response, jsonify


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem: its HTTP status and what it means, in a few words."""

    status: int
    title: str


KINDS: Final[Mapping[str, Kind]] = {
    "bad_request": Kind(400, "The request could not be understood"),
    "bad_json": Kind(400, "The body is not plain JSON"),
    "bad_cursor": Kind(400, "The page cursor is not valid"),
    "csrf_failed": Kind(400, "The session's request carries no valid CSRF token"),
    "no_bars": Kind(400, "There are no bars for a symbol"),
    "unauthorized": Kind(401, "No valid token and no session"),
    "forbidden": Kind(403, "The account may not do this"),
    "scope_missing": Kind(403, "The token's scope is too small"),
    "not_found": Kind(404, "There is nothing here, or it belongs to somebody else"),
    "result_missing": Kind(404, "The stored files of the result are gone"),
    "method_not_allowed": Kind(405, "The address does not take this method"),
    "not_completed": Kind(409, "The backtest has no result"),
    "not_cancellable": Kind(409, "The backtest has already ended"),
    "not_deletable": Kind(409, "The backtest is pinned or has not ended"),
    "bars_differ": Kind(409, "Stored bars have other values"),
    "bars_busy": Kind(409, "The same bars are being changed by others"),
    "job_ended": Kind(409, "The job has already ended"),
    "not_restorable": Kind(409, "The time to take the deletion back is over"),
    "not_verifiable": Kind(409, "The backtest cannot be run again and compared"),
    "too_many": Kind(409, "There are as many as there may be"),
    "idempotency_running": Kind(409, "The first request with this key is still being worked on"),
    "too_large": Kind(413, "The request is too large"),
    "unsupported_media_type": Kind(415, "The body must be application/json"),
    "invalid_request": Kind(422, "The request has the wrong shape"),
    "invalid_spec": Kind(422, "The spec of the backtest has problems"),
    "idempotency_mismatch": Kind(422, "The key was used for another request"),
    "rate_limited": Kind(429, "Too many requests"),
    "internal": Kind(500, "Something went wrong on our side"),
    "result_damaged": Kind(500, "The stored result cannot be read"),
    "store_unavailable": Kind(503, "The store of the results does not answer right now"),
    "unavailable": Kind(503, "The database does not answer right now"),
}

USUAL: Final[Mapping[int, str]] = {
    400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
    413: "too_large", 415: "unsupported_media_type", 422: "invalid_request", 429: "rate_limited", 500: "internal",
    503: "unavailable",
}  # fmt: skip
"""The code of a status when nothing more is known."""


def problem(code: str, detail: str, **more: object) -> Response:
    """The answer: type, title, status, code, detail, and what else helps a program."""
    kind = KINDS[code]
    response = jsonify(
        {
            "type": f"/api/docs#{code}",
            "title": kind.title,
            "status": kind.status,
            "code": code,
            "detail": detail,
            **more,
        }
    )
    response.status_code = kind.status
    response.content_type = "application/problem+json"
    return response


def usual_code(status: int) -> str:
    """The code of an error that has nothing but a status."""
    return USUAL.get(status, "bad_request" if status < 500 else "internal")
