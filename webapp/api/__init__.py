"""The JSON API, version 1."""

from __future__ import annotations

from flask import Response
from flask_openapi3 import OpenAPI
from pydantic import ValidationError

from webapp.problems import problem


def init_app(app: OpenAPI) -> None:
    """Register every part of the API."""
    from webapp.api import backtests, catalogue

    for module in (backtests, catalogue):
        app.register_api(module.blueprint)


def invalid_request(error: ValidationError) -> Response:
    """A query or body of the wrong shape, in the same words as every other error."""
    errors = [
        {"field": ".".join(str(part) for part in one["loc"]) or "body", "message": one["msg"], "allowed": one["type"]}
        for one in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return problem("invalid_request", "The request has the wrong shape.", errors=errors)
