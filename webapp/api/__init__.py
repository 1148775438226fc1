"""The JSON API, version 1."""

from __future__ import annotations

import threading

from flask import Response
from flask_openapi3 import OpenAPI
from pydantic import ValidationError

from webapp.problems import problem

EXPLAINED = {"missing": "is missing", "extra_forbidden": "is not known here"}


def init_app(app: OpenAPI) -> None:
    """Register every part of the API."""
    from webapp.api import backtests, catalogue, data, description, presets, results, submit, waiting  # noqa: F401
    from webapp.api.blueprint import blueprint

    app.extensions["api_seats"] = threading.BoundedSemaphore(waiting.SEATS)
    app.register_api(blueprint)


def invalid_request(error: ValidationError) -> Response:
    """A query or body of the wrong shape, every field by its name, in the same words as every other error."""
    errors = [
        {"field": field, "message": f"{field} {EXPLAINED.get(kind) or words}", "allowed": words, "kind": kind}
        for field, kind, words in (
            (".".join(str(part) for part in one["loc"]) or "body", one["type"], _words(one["msg"]))
            for one in error.errors(include_url=False, include_context=False, include_input=False)
        )
    ]
    return problem("invalid_request", "; ".join(str(one["message"]) for one in errors[:5]) + ".", errors=errors)


def _words(message: str) -> str:
    plain = message.removeprefix("Value error, ").removeprefix("Input ")
    return plain[:1].lower() + plain[1:]
