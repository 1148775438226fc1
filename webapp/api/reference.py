"""The description as a page shows it: operations by tag, each with its fields and a curl example."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any, TypedDict

from webapp.api.description import operations


class Field(TypedDict):
    """One parameter or one field of a body or an answer."""

    name: str
    place: str
    kind: str
    required: bool
    help: str


class Operation(TypedDict):
    """One operation, ready to be shown."""

    id: str
    method: str
    path: str
    summary: str
    description: list[str]
    scope: str
    parameters: list[Field]
    body: list[Field]
    answers: list[dict[str, str]]
    curl: str


def ctx_reference(document: dict[str, Any], host: str) -> dict[str, list[Operation]]:
    """The operations of each tag, in the order of the description."""
    found: dict[str, list[Operation]] = {tag["name"]: [] for tag in document.get("tags", [])}
    for path, method, operation in operations(document):
        found[operation["tags"][0]].append(_operation(document, host, (path, method), operation))
    return found


def _operation(document: dict[str, Any], host: str, place: tuple[str, str], operation: dict[str, Any]) -> Operation:
    path, method = place
    body = _body_name(operation)
    parameters = [_parameter(one) for one in operation.get("parameters", [])]
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation["summary"].rstrip("."),
        "description": [part for part in operation["description"].split("\n\n") if part],
        "scope": operation["x-scope"],
        "parameters": parameters,
        "body": _fields(document["components"]["schemas"][body]) if body else [],
        "answers": [_answer(status, answer) for status, answer in sorted(operation["responses"].items())],
        "curl": _curl(host, method, path, document["components"]["schemas"].get(body)),
    }


def _body_name(operation: dict[str, Any]) -> str | None:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return content["schema"]["$ref"].rpartition("/")[2] if content else None


def _parameter(one: dict[str, Any]) -> Field:
    schema = one["schema"]
    help_ = one.get("description", "")
    return {
        "name": one["name"],
        "place": one["in"],
        "kind": _kind(schema),
        "required": bool(one.get("required")),
        "help": help_,
    }


def _fields(schema: dict[str, Any], prefix: str = "") -> list[Field]:
    found: list[Field] = []
    for name, part in schema.get("properties", {}).items():
        if "properties" in part:
            found += _fields(part, f"{prefix}{name}.")
            continue
        required = not prefix and name in schema.get("required", [])
        help_ = part.get("description", "")
        found.append({"name": prefix + name, "place": "body", "kind": _kind(part), "required": required, "help": help_})
    return found


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words: a whole number, 1 to 200, default 25."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if "enum" in schema:
        names = [json.dumps(value).strip('"') for value in schema["enum"]]
        return _with_default(" | ".join(names) if len(names) <= 8 else f"one of {len(names)}: {names[0]}, …", schema)
    kinds = schema.get("type", "any")
    words = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    if schema.get("format"):
        words = str(schema["format"])
    low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
    if low is not None or high is not None:
        above = "above " if "exclusiveMinimum" in schema else ""
        words += f", {above}{_plain(low)}" + ("" if high is None else f" to {_plain(high)}")
    return _with_default(words, schema)


def _with_default(words: str, schema: dict[str, Any]) -> str:
    default = schema.get("default")
    return words if default in (None, "", []) else f"{words}, default {_plain(default)}"


def _plain(value: object) -> str:
    """A number with the digits it needs, text without quotes."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,.10g}"
    return json.dumps(value).strip('"')


def _answer(status: str, answer: dict[str, Any]) -> dict[str, str]:
    content = next(iter(answer.get("content", {}).values()), {})
    model = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    return {"status": status, "what": answer.get("description", ""), "model": "" if model == "Problem" else model}


def _curl(host: str, method: str, path: str, body: dict[str, Any] | None) -> str:
    address = re.sub(r"\{(\w+)\}", lambda name: f"${name[1].upper()}", f"{host}{path}")
    parts = ["curl", *([] if method == "get" else ["-X", method.upper()]), f'"{address}"']
    parts += ["\\\n  -H", '"Authorization: Bearer $TOKEN"']
    if body:
        parts += [
            "\\\n  -H",
            '"Content-Type: application/json"',
            "\\\n  -d",
            shlex.quote(json.dumps(body["examples"][0])),
        ]
    return " ".join(parts)
