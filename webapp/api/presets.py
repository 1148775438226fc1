"""Presets: list, save, delete; and a request takes one by its number."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from flask import Response, abort
from pydantic import ConfigDict, Field

from engine.errors import SpecErrors
from engine.spec import parse_spec, spec_to_dict
from storage_core import presets
from storage_core.models import Preset
from storage_core.names import BadName
from storage_core.presets import MARKET, PresetNotFound, TooManyPresets
from webapp.api.answers import Answer
from webapp.api.blueprint import CATALOGUE, answers, blueprint, to_json
from webapp.api.requests import Body, Nothing, Strict
from webapp.api.values import PLAIN_TEXT, Text
from webapp.catalog import catalogue
from webapp.extensions import db
from webapp.login import need_trader, person
from webapp.presets import SOME_MARKET
from webapp.problems import problem

EXAMPLE = {"name": "calm", "strategy": "sma_cross", "fields": {"params": {"fast": 20, "slow": 100}}}


class PresetPath(Strict):
    """The number in an address."""

    preset_id: int = Field(ge=1, le=2**31 - 1)


class PresetQuery(Strict):
    """Which presets."""

    strategy: Text = Field("", description="Only those of this strategy.")


class PresetRequest(Body):
    """What to keep: the fields of a backtest but its symbols, timeframe and dates."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    name: Annotated[str, Field(min_length=1, max_length=80, pattern=PLAIN_TEXT)]
    strategy: Annotated[str, Field(max_length=200, pattern=PLAIN_TEXT)]
    fields: dict[str, Any] = Field({}, description="params, costs, sizing, exits, ... as in a backtest.")
    shared: bool = Field(False, description="Others may load it too.")


class PresetInfo(Answer):
    """One preset; `fields` hold every default."""

    id: int
    name: str
    strategy: str
    fields: dict[str, Any]
    shared: bool
    own: bool
    updated_at: datetime

    @classmethod
    def of(cls, preset: Preset) -> PresetInfo:
        """The answer for a row, as the person who asks sees it."""
        kept = {name: getattr(preset, name) for name in ("id", "name", "strategy", "fields", "shared", "updated_at")}
        return cls(**kept, own=preset.owner_id == person().id)


class PresetList(Answer):
    """Every preset that the person may load."""

    presets: list[PresetInfo]


class PresetDeleted(Answer):
    """What was deleted."""

    id: int
    name: str


@blueprint.get("/presets", tags=[CATALOGUE], responses=answers({200: PresetList}, 422))
def list_presets(query: PresetQuery) -> Response:
    """List your presets, and those that others share."""
    found = presets.listed(db.session(), owner_id=person().id, strategy=query.strategy or None)
    return to_json(PresetList(presets=[PresetInfo.of(one) for one in found]))


@blueprint.post("/presets", tags=[CATALOGUE], responses=answers({200: PresetInfo}, 400, 409, 413, 415, 422))
def save_preset(query: Nothing, body: PresetRequest) -> Response:
    """Keep the fields of a backtest under a name.

    One of yours with the same strategy and name is replaced, so sending it twice is sending it once.
    """
    need_trader()
    try:
        spec = _checked(body)
        preset = presets.save(db.session(), owner_id=person().id, name=body.name, spec=spec, shared=body.shared)
    except SpecErrors as error:
        errors = [{"field": one.field, "message": str(one), "allowed": one.allowed} for one in error.errors]
        return problem("invalid_spec", "The preset has problems; nothing was kept.", errors=errors)
    except BadName as error:
        errors = [{"field": "name", "message": str(error), "allowed": error.allowed}]
        return problem("invalid_request", f"{error}", errors=errors)
    except TooManyPresets as error:
        return problem("too_many", f"{error}")
    answer = to_json(PresetInfo.of(preset))
    db.session.commit()
    return answer


@blueprint.delete("/presets/<int:preset_id>", tags=[CATALOGUE], responses=answers({200: PresetDeleted}, 404, 422))
def delete_preset(path: PresetPath, query: Nothing) -> Response:
    """Delete one of your presets."""
    need_trader()
    try:
        preset = presets.delete(db.session(), path.preset_id, owner_id=person().id)
    except PresetNotFound as error:
        abort(404, f"{error}, or it is somebody else's")
    answer = to_json(PresetDeleted(id=preset.id, name=preset.name))
    db.session.commit()
    return answer


def _checked(body: PresetRequest) -> Mapping[str, Any]:
    given = {key: value for key, value in body.fields.items() if key not in (*MARKET, "strategy")}
    raw = {**given, "strategy": body.strategy, **SOME_MARKET}
    return spec_to_dict(parse_spec(raw, catalogue()))
