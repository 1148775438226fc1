"""What the API takes and gives, for validation and for its description."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field, RootModel

from engine.spec import SPEC_FIELDS, TIMEFRAMES, ParamSpec
from storage_core.models import Backtest


def _field_schema(param: ParamSpec) -> dict[str, Any]:
    schema: dict[str, Any] = {"description": f"{param.label}. {param.help}", "default": param.default}
    if param.type == "choice":
        return {**schema, "type": "string", "enum": list(param.choices)}
    schema["type"] = {"int": "integer", "float": "number", "bool": "boolean"}[param.type]
    if param.minimum is not None:
        schema["exclusiveMinimum" if param.exclusive_minimum else "minimum"] = param.minimum
    if param.maximum is not None:
        schema["maximum"] = param.maximum
    return schema


def _spec_schema() -> dict[str, Any]:
    """The request in JSON Schema, its limits read from the engine's own table."""
    properties: dict[str, Any] = {
        "strategy": {"type": "string", "description": "One of /api/v1/strategies."},
        "params": {"type": "object", "description": "Params of the strategy; what is left out keeps its default."},
        "symbols": {
            "type": "array",
            "items": {"type": "string", "examples": ["KRW-BTC"]},
            "minItems": 1,
            "maxItems": 200,
        },
        "start_date": {"type": "string", "format": "date"},
        "end_date": {"type": "string", "format": "date"},
        "timezone": {"type": "string", "description": "Whose calendar days the dates are; your account's by default."},
    }
    for path, param in SPEC_FIELDS.items():
        group, _, name = path.rpartition(".")
        holder = (
            properties.setdefault(group, {"type": "object", "properties": {}})["properties"] if group else properties
        )
        holder[name] = _field_schema(param)
    properties["timeframe"] = {"type": "string", "enum": list(TIMEFRAMES)}
    required = ["strategy", "symbols", "timeframe", "start_date", "end_date"]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


class BacktestRequest(RootModel[dict[str, Any]]):
    """A spec. Its fields are checked by the engine, which names every problem at once."""

    model_config = {"json_schema_extra": lambda schema: schema.update(_spec_schema())}


class Submitted(BaseModel):
    """A backtest that was accepted."""

    task_id: UUID
    status_url: str


class Status(BaseModel):
    """How far a backtest is."""

    task_id: UUID
    status: str
    progress: float = Field(description="0 to 1")
    phase: str
    attempt: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error_code: str | None
    error_message: str | None

    @classmethod
    def of(cls, row: Backtest) -> Status:
        """The status of a row."""
        return cls.model_validate(row, from_attributes=True)


class Summary(Status):
    """A backtest in a list. Metrics in percent where the name ends in _pct."""

    strategy: str
    params: dict[str, Any]
    symbols: list[str]
    timeframe: str
    start_date: date
    end_date: date
    source: str
    total_return_pct: float | None
    sharpe: float | None
    max_drawdown_pct: float | None
    trade_count: int | None


class Detail(Summary):
    """A backtest with its whole spec and everything that was measured."""

    spec: dict[str, Any]
    metadata: dict[str, Any] = Field(validation_alias="metadata_")
    parquet_path: str | None
    file_size: int | None
    record_count: int | None


class BacktestPath(BaseModel):
    """The id in an address."""

    task_id: UUID


class ListQuery(BaseModel):
    """Which page of the list; `after` and `before` are the cursors of an earlier answer."""

    after: str | None = Field(None, max_length=200)
    before: str | None = Field(None, max_length=200)
    size: int = Field(25, ge=1, le=200)


class BacktestList(BaseModel):
    """Newest first."""

    backtests: list[Summary]
    newer: str | None
    older: str | None


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, Any]] | None = None
