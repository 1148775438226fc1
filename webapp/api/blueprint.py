"""The one blueprint of the API, and how its answers are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel

from webapp.api.answers import Problem
from webapp.api.limits import limited
from webapp.api.reading import read_body, read_query

BACKTESTS: Final = Tag(name="Backtests", description="Submit, follow, find, keep and delete backtests.")
RESULTS: Final = Tag(name="Results", description="Trades, equity and exports of completed backtests.")
CATALOGUE: Final = Tag(name="Catalogue", description="What can be run, and on what.")

blueprint = APIBlueprint("api", __name__, url_prefix="/api/v1", operation_id_callback=lambda *, name, **_: name)
limited(blueprint)
blueprint.before_request(read_query)
blueprint.before_request(read_body)

Answers = dict[str | int, Any]


def answers(good: Mapping[int, type[BaseModel]], *problems: int) -> Answers:
    """The answers of a route for its description: the good ones, its own problems, and those that every route has."""
    common = (401, 403, 429)
    return {**good, **dict.fromkeys(sorted({*problems, *common}), Problem)}


def to_json(model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A model as the answer, its fields in the order in which they are declared."""
    return Response(model.model_dump_json(), status, headers, mimetype="application/json")
