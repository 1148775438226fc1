"""What comes in, read strictly. Bodies: plain JSON in UTF-8, no key twice, no NaN, not too deep, not too much.

Queries: no field twice that takes one value, as one of the two would be silently lost.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from typing import Any, Final, get_type_hints

from flask import Response, current_app, request

from webapp.errors import answer
from webapp.problems import problem
from webapp.uploads import RAW_ROUTES

LARGEST: Final = 256_000
DEEPEST: Final = 20
MOST_VALUES: Final = 5_000
LARGEST_WHOLE: Final = 2**63
ONE_VALUE: Final = "one value"


class NotPlain(ValueError):
    """The text is JSON that nobody should send, or no JSON at all."""


def read_body() -> Response | None:
    """Before a view that takes a body: refuse what is not plain JSON, saying what is wrong."""
    if request.endpoint in RAW_ROUTES:
        return None
    request.max_content_length = LARGEST
    if not _takes_body():
        return None
    if not request.is_json:
        return answer(415)
    try:
        body = parse(request.get_data())
    except NotPlain as error:
        return problem("bad_json", f"The body is not plain JSON: {error}.")
    if not isinstance(body, dict):
        errors = [{"field": "body", "message": "The body must be a JSON object.", "allowed": "an object"}]
        return problem("invalid_request", "The body must be a JSON object.", errors=errors)
    return None


def read_query() -> Response | None:
    """Before a view: refuse a field of the query that is there twice and takes one value."""
    view = current_app.view_functions.get(request.endpoint or "")
    known = _fields(view) if view is not None else {}
    twice = [name for name, values in request.args.lists() if len(values) > 1 and known.get(name) == ONE_VALUE]
    if not twice:
        return None
    allowed = "given once"
    errors = [{"field": name, "message": f"{name} is there twice", "allowed": allowed} for name in twice]
    return problem("invalid_request", "; ".join(one["message"] for one in errors) + ".", errors=errors)


@cache
def _fields(view: Callable[..., Any]) -> dict[str, str]:
    """The fields of a view's query, each with whether it takes one value or a list."""
    model = get_type_hints(view).get("query")
    properties = model.model_json_schema()["properties"] if model is not None and model.model_fields else {}
    return {name: "list" if one.get("type") == "array" else ONE_VALUE for name, one in properties.items()}


def parse(raw: bytes) -> Any:
    """The value of a JSON text. Raises NotPlain."""
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_without_doubles,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_not_huge,
        )
    except NotPlain:
        raise
    except UnicodeDecodeError as error:
        raise NotPlain("it is not UTF-8") from error
    except RecursionError as error:
        raise NotPlain(f"it is nested deeper than {DEEPEST} levels") from error
    except json.JSONDecodeError as error:
        raise NotPlain(f"{error.msg.lower()} in line {error.lineno}, column {error.colno}") from error
    _measure(value)
    return value


def _takes_body() -> bool:
    view = current_app.view_functions.get(request.endpoint or "")
    return "body" in getattr(view, "__annotations__", {})


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise NotPlain(f"the key {double[:60]!r} is there twice")
    return found


def _no_constant(name: str) -> Any:
    raise NotPlain(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise NotPlain(f"the number {text[:40]} is too large")
    return number


def _not_huge(text: str) -> int:
    if len(text) > 20 or abs(int(text)) >= LARGEST_WHOLE:
        raise NotPlain(f"the number {text[:40]} is too large")
    return int(text)


def _measure(value: Any) -> None:
    """Refuse what is too deep or too much, and text that is half a character."""
    waiting, seen = [(value, 1)], 0
    while waiting:
        one, depth = waiting.pop()
        seen += 1
        if depth > DEEPEST:
            raise NotPlain(f"it is nested deeper than {DEEPEST} levels")
        if seen > MOST_VALUES:
            raise NotPlain(f"it holds more than {MOST_VALUES} values")
        if isinstance(one, dict):
            waiting += [(part, depth + 1) for pair in one.items() for part in pair]
        elif isinstance(one, list):
            waiting += [(part, depth + 1) for part in one]
        elif isinstance(one, str) and any("\ud800" <= character <= "\udfff" for character in one):
            raise NotPlain("a text holds half of a surrogate pair")
