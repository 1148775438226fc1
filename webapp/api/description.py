"""The API's own description: OpenAPI 3.1, from the models and routes, with what the library does not know of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from flask import Flask, Response, current_app, jsonify
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from webapp.api import answers, requests
from webapp.api.blueprint import BACKTESTS, CATALOGUE, RESULTS, blueprint
from webapp.problems import KINDS

PROBLEM: Final = "#/components/schemas/Problem"
EXPORTS: Final = {
    "application/json": {"type": "object"},
    "text/csv": {"type": "string"},
    "text/html": {"type": "string"},
    "application/vnd.apache.parquet": {"type": "string", "format": "binary"},
    "application/zip": {"type": "string", "format": "binary"},
}
FILE: Final = {
    "required": True,
    "content": {
        "text/csv": {"schema": {"type": "string"}},
        "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
    },
}
SECURITY: Final = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of your account page, or of `flask create-token`. Scopes: read, write, admin.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "coin_hts",
        "description": "A browser's session; all but GET also need its CSRF token in the header X-CSRFToken.",
    },
}
WHOLE: Final = {"type": "integer", "minimum": 0}
HEADERS: Final[dict[str, dict[str, Any]]] = {
    "Link": {"description": "Addresses of the next and previous page (RFC 8288).", "schema": {"type": "string"}},
    "Location": {"description": "Where to ask how far it is.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait.", "schema": WHOLE},
    "RateLimit-Limit": {"description": "Requests in a window.", "schema": WHOLE},
    "RateLimit-Remaining": {"description": "Requests left in this window.", "schema": WHOLE},
    "RateLimit-Reset": {"description": "Seconds to the next window.", "schema": WHOLE},
    "Idempotency-Replayed": {"description": "true: kept from the first request.", "schema": {"type": "string"}},
    "WWW-Authenticate": {"description": "How to authenticate (RFC 6750).", "schema": {"type": "string"}},
}
KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Any text of your own; a repetition of the request with it within a day gets the same answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


@blueprint.get("/openapi.json", doc_ui=False)
def openapi() -> Response:
    """This API's own description."""
    return jsonify(describe(current_app))


def describe(app: Flask) -> dict[str, Any]:
    """The whole document, made at its first use."""
    if "api_description" not in app.extensions:
        app.extensions["api_description"] = _completed(app, blueprint.describe(app.info))  # type: ignore[attr-defined]
    found: dict[str, Any] = app.extensions["api_description"]
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(path, method, operation) of each operation."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def _completed(app: Flask, document: dict[str, Any]) -> dict[str, Any]:
    document["components"]["schemas"] = _schemas()
    _tidy(document)
    order = [BACKTESTS.name, RESULTS.name, CATALOGUE.name]
    document["tags"].sort(key=lambda tag: order.index(tag["name"]))
    document["components"]["securitySchemes"] = SECURITY
    document["components"]["headers"] = HEADERS
    document["security"] = [{"token": []}, {"session": []}]
    for _, method, operation in operations(document):
        _complete(app, method, operation)
    return document


def _schemas() -> dict[str, Any]:
    """Of all models, as pydantic gives them: the library would drop what it has no field for."""
    taken = [(model, "validation") for model in subclasses(requests.Body)]
    given = [(model, "serialization") for model in (answers.Problem, *subclasses(answers.Answer))]
    _, found = models_json_schema([*taken, *given], ref_template="#/components/schemas/{model}")
    made: dict[str, Any] = found["$defs"]
    return {**made, "BacktestRequest": requests.spec_schema()}


def subclasses(model: type[BaseModel]) -> list[type[BaseModel]]:
    """Every model below this one, wherever a part of the API declares it."""
    return [found for below in model.__subclasses__() for found in (below, *subclasses(below))]


def _complete(app: Flask, method: str, operation: dict[str, Any]) -> None:
    operation["description"] = operation.get("description", "").replace("<br/>", "\n").strip()
    operation["security"] = [{"token": []}, {"session": []}]
    operation["x-scope"] = "read" if method == "get" else "write"
    if getattr(app.view_functions[f"api.{operation['operationId']}"], "repeatable", False):
        operation.setdefault("parameters", []).append(KEY)
        operation["responses"].setdefault("409", _problem_response())
    if operation["operationId"] == "upload_data":
        operation["requestBody"] = FILE
    for status, response in operation["responses"].items():
        _complete_response(operation, int(status), response)


def _problem_response() -> dict[str, Any]:
    return {"description": "", "content": {"application/json": {"schema": {"$ref": PROBLEM}}}}


def _complete_response(operation: dict[str, Any], status: int, response: dict[str, Any]) -> None:
    headers = ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"]
    if status >= 400:
        codes = [f"`{code}`: {kind.title.lower()}" for code, kind in KINDS.items() if kind.status == status]
        response["description"] = "; ".join(codes) + "."
        response["content"] = {"application/problem+json": {"schema": {"$ref": PROBLEM}}}
        headers += {
            401: ["WWW-Authenticate"],
            403: ["WWW-Authenticate"],
            409: ["Retry-After"],
            429: ["Retry-After"],
        }.get(status, [])
    elif operation["operationId"] == "export_backtest":
        response["content"] = {kind: {"schema": schema} for kind, schema in EXPORTS.items()}
    else:
        names = {"list_backtests": ["Link"], "list_trades": ["Link"], "read_equity": ["Link"]}
        headers += names.get(operation["operationId"], [])
        headers += ["Location"] if "Submitted" in str(response) or operation["operationId"] == "fetch_data" else []
        headers += ["Idempotency-Replayed"] if KEY in operation.get("parameters", []) else []
    response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}


def _tidy(node: Any) -> None:
    """Without what says nothing: titles made from names, and a default of null where null is not taken."""
    if isinstance(node, list):
        for part in node:
            _tidy(part)
    if not isinstance(node, dict):
        return
    schema_like = {"type", "anyOf", "$ref", "enum", "items", "const"} & node.keys()
    if schema_like and isinstance(node.get("title"), str):
        del node["title"]
    if schema_like and "default" in node and node["default"] is None:
        del node["default"]
    for name, part in node.items():
        if name not in ("examples", "example"):
            _tidy(part)
