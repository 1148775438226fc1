"""The one blueprint of the API, and how its answers are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from flask import Response
from flask_openapi3 import APIBlueprint, Info, OpenAPI, Tag
from flask_openapi3.types import ParametersTuple
from flask_openapi3.utils import parse_parameters
from pydantic import BaseModel

from webapp.api.answers import Problem
from webapp.api.limits import limited
from webapp.api.reading import read_body, read_query

BACKTESTS: Final = Tag(name="Backtests", description="Submit, follow, find, keep and delete backtests.")
RESULTS: Final = Tag(name="Results", description="Trades, equity and exports of completed backtests.")
CATALOGUE: Final = Tag(name="Catalogue", description="What can be run, and on what.")


class Routes(APIBlueprint):
    """Routes that are described when somebody asks for the description: few do, and every start would pay for it."""

    def __init__(self, name: str, import_name: str, *, url_prefix: str) -> None:
        super().__init__(name, import_name, url_prefix=url_prefix)
        self._undescribed: list[tuple[str, Callable[..., Any], dict[str, Any]]] = []

    def _collect_openapi_info(self, rule: str, func: Callable[..., Any], **options: Any) -> ParametersTuple:
        """What the library asks of each route as it is declared; `doc_ui` False stands for: not in the description."""
        if options["doc_ui"]:
            self._undescribed.append((rule, func, options))
        return parse_parameters(func, doc_ui=False)

    def describe(self, info: Info) -> dict[str, Any]:
        """The description that the library makes of all routes."""
        name_alone = {"operation_id_callback": lambda *, name, **_: name}
        described = APIBlueprint(self.name, self.import_name, url_prefix=self.url_prefix, **name_alone)
        for rule, func, options in self._undescribed:
            described._collect_openapi_info(rule, func, **options)
        app = OpenAPI(self.import_name, info=info, doc_ui=False)
        app.register_api(described)
        found: dict[str, Any] = app.api_doc
        return found


blueprint = Routes("api", __name__, url_prefix="/api/v1")
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
