"""What the API takes."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, RootModel, create_model

from engine.spec import MAX_SYMBOLS, SPEC_FIELDS, TIMEFRAMES, ParamSpec
from storage_core.backtest_cursor import LONGEST_CURSOR
from storage_core.backtest_filters import Filters
from storage_core.backtest_keeping import LONGEST_NOTE, LONGEST_TAG, MOST_TAGS
from storage_core.backtest_list import LARGEST_PAGE, NEWEST, SORTS
from storage_core.models import STATUSES
from storage_core.models.backtest import METRIC_COLUMNS, SOURCES
from storage_core.result_store import TABLES
from webapp.api.answers import EXAMPLE_ID
from webapp.api.values import PLAIN_TEXT, Boolean, Day, Instant, Number, Symbol, Text, Whole

EXAMPLE: Final = {
    "strategy": "sma_cross",
    "params": {"fast": 10, "slow": 30},
    "symbols": ["USD-BTC"],
    "timeframe": "1h",
    "start_date": "2018-03-01",
    "end_date": "2018-12-31",
}
MOST_NAMED: Final = 20
UNSET: Final[Any] = None  # of fields that may be left out; null itself is not taken


class Strict(BaseModel):
    """Nothing that is not declared. The schema is made once: the library asks for it with every request."""

    model_config = ConfigDict(defer_build=True, extra="forbid")

    @classmethod
    @cache
    def model_json_schema(cls, *arguments: Any, **options: Any) -> dict[str, Any]:
        return super().model_json_schema(*arguments, **options)


class Body(Strict):
    """What a request brings, with an example."""

    model_config = ConfigDict(strict=True)


class Nothing(Strict):
    """No query at all."""


class BacktestPath(Strict):
    """The id in an address."""

    task_id: UUID = Field(json_schema_extra={"example": EXAMPLE_ID})


class SubmitQuery(Strict):
    """What to do with an answer that is there already."""

    reuse: Boolean = Field(False, description="Answer with the result of the same backtest, if it was run before.")


class RunQuery(SubmitQuery):
    """How long to wait."""

    wait: Number = Field(10, ge=0, le=60, description="Seconds to wait for the result; then the answer is 202.")


def _named(kind: Any, what: str) -> Any:
    return Annotated[list[kind], Field(max_length=MOST_NAMED, description=what)]


ORDER: Final = "A column, with a minus sign for the largest first. Params have no order: every strategy has its own."


class _Filters(Strict):
    """Which backtests are listed."""

    strategy: _named(Text, "One of these strategies.") = []  # type: ignore[valid-type]
    status: _named(Literal[STATUSES], "One of these states.") = []  # type: ignore[valid-type]
    symbol: _named(Symbol, "With one of these symbols.") = []  # type: ignore[valid-type]
    timeframe: _named(Literal[tuple(TIMEFRAMES)], "One of these timeframes.") = []  # type: ignore[valid-type]
    tag: _named(Text, "With all of these tags.") = []  # type: ignore[valid-type]
    source: _named(Literal[SOURCES], "Submitted in one of these ways.") = []  # type: ignore[valid-type]
    pinned: Boolean = Field(UNSET, description="Only pinned ones, or only those that are not.")
    shared: Boolean = Field(UNSET, description="Only those that everybody may read, or only the others.")
    owner_id: Whole = Field(UNSET, ge=0, le=2**31 - 1, description="Submitted by the account of this number.")
    submitted_from: Instant = Field(UNSET, description="Submitted at this instant or later.")
    submitted_to: Instant = Field(UNSET, description="Submitted before this instant.")
    period_from: Day = Field(UNSET, description="Tested from this day on or later.")
    period_to: Day = Field(UNSET, description="Tested up to this day or earlier.")
    text: Text = Field("", description="Stands in the note.")
    deleted: Boolean = Field(False, description="Deleted ones instead of the others.")

    def filters(self) -> Filters:
        """The same, for the store."""
        bounds = {name: (getattr(self, f"{name}_min"), getattr(self, f"{name}_max")) for name in METRIC_COLUMNS}
        return Filters(
            strategies=self.strategy,
            statuses=self.status,
            symbols=self.symbol,
            timeframes=self.timeframe,
            tags=self.tag,
            sources=self.source,
            pinned=self.pinned,
            shared=self.shared,
            owner_id=self.owner_id,
            submitted_from=self.submitted_from,
            submitted_to=self.submitted_to,
            period_from=self.period_from,
            period_to=self.period_to,
            metrics={name: pair for name, pair in bounds.items() if pair != (None, None)},
            text=self.text,
            deleted=self.deleted,
        )


def _bound(name: str, end: str) -> Any:
    unit = " percent" if name.endswith("_pct") else ""
    return Number, Field(UNSET, description=f"{name} {'at least' if end == 'min' else 'at most'} this{unit}.")


class ListQuery(
    create_model(  # type: ignore[misc]
        "_Bounds",
        __base__=_Filters,
        **{f"{name}_{end}": _bound(name, end) for name in METRIC_COLUMNS for end in ("min", "max")},
    )
):
    """Which backtests, in which order, and which page of them; `after` and `before` are cursors of an answer."""

    sort: Literal[SORTS] = Field(NEWEST, description=ORDER)  # type: ignore[valid-type]
    after: str = Field(UNSET, max_length=LONGEST_CURSOR, description="`older` of an earlier page.")
    before: str = Field(UNSET, max_length=LONGEST_CURSOR, description="`newer` of an earlier page.")
    size: Whole = Field(25, ge=1, le=LARGEST_PAGE)


class TradesQuery(Strict):
    """Which trades."""

    symbol: Symbol = Field(UNSET, description="Only those of this symbol.")
    after: Whole = Field(0, ge=0, le=10**9, description="`next` of the page before.")
    size: Whole = Field(200, ge=1, le=1000)


class EquityQuery(Strict):
    """The whole curve in `points` points or, with `size`, bar by bar in pages."""

    symbol: Symbol = Field(UNSET, description="Of this symbol; the sum over all of them when left out.")
    points: Whole = Field(
        2000, ge=100, le=20_000, description="At most so many points, chosen so that the shape stays."
    )
    size: Whole = Field(UNSET, ge=1, le=50_000, description="Every bar, so many in a page.")
    after: Whole = Field(0, ge=0, le=10**9, description="`next` of the page before.")


class ExportQuery(Strict):
    """What to write, and how."""

    format: Literal["json", "csv", "parquet", "zip", "parquet-zip", "legacy", "html"] = Field(
        "json",
        description="json: everything in one document; csv and parquet: one table; zip and parquet-zip: everything, as "
        "CSV or Parquet; legacy: result.json as the legacy system wrote it; html: a report that opens offline.",
    )
    table: Literal[TABLES] = Field("symbol_signals", description="For csv and parquet.")  # type: ignore[valid-type]


class Changes(Body):
    """What to change; what is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"note": "good in 2023", "tags": ["btc"]}]})

    note: Annotated[str, Field(max_length=LONGEST_NOTE)] = UNSET
    tags: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=LONGEST_TAG, pattern=PLAIN_TEXT)]],
        Field(max_length=MOST_TAGS),
    ] = UNSET
    pinned: bool = UNSET
    shared: bool = Field(UNSET, description="Whether everybody may read it who may log in.")
    symbols: dict[Symbol, bool] = Field(
        UNSET,
        max_length=MAX_SYMBOLS,
        description="Switch symbols on or off: `metadata.active_symbols` then has the metrics of those that count. "
        "What was computed stays in `metadata.metrics` and in the fields beside it.",
    )


def param_schema(param: ParamSpec) -> dict[str, Any]:
    """One field in JSON Schema, its limits read from the engine's own table."""
    schema: dict[str, Any] = {"description": f"{param.label}. {param.help}"}
    if param.default is not None:
        schema["default"] = param.default
    if param.type == "choice":
        return {**schema, "enum": [*param.choices, *([None] if param.default is None else [])]}
    kind = {"int": "integer", "float": "number", "bool": "boolean"}[param.type]
    schema["type"] = [kind, "null"] if param.default is None else kind
    if param.minimum is not None:
        schema["exclusiveMinimum" if param.exclusive_minimum else "minimum"] = param.minimum
    if param.maximum is not None:
        schema["maximum"] = param.maximum
    return schema


def spec_schema() -> dict[str, Any]:
    """The request in JSON Schema."""
    symbol = {"type": "string", "pattern": "^[A-Z0-9]{1,15}-[A-Z0-9]{1,15}$"}
    symbols: dict[str, Any] = {"type": "array", "items": symbol, "minItems": 1, "maxItems": 200, "uniqueItems": True}
    symbols["description"] = "QUOTE-BASE, such as KRW-BTC; /api/v1/data lists what is stored."
    values = {"type": ["number", "string", "boolean", "null"]}
    zone = "Whose calendar days the dates are, such as Asia/Seoul; your account's by default."
    properties: dict[str, Any] = {
        "strategy": {"type": "string", "description": "One of /api/v1/strategies."},
        "params": {"type": "object", "description": "What is left out is default.", "additionalProperties": values},
        "symbols": symbols,
        "start_date": {"type": "string", "format": "date", "description": "The first day."},
        "end_date": {"type": "string", "format": "date", "description": "The last day, included."},
        "timezone": {"type": "string", "description": zone},
    }
    for path, param in SPEC_FIELDS.items():
        group, _, name = path.rpartition(".")
        empty = {"type": "object", "properties": {}, "additionalProperties": False}
        holder = properties.setdefault(group, empty)["properties"] if group else properties
        holder[name] = param_schema(param)
    required = ["strategy", "symbols", "timeframe", "start_date", "end_date"]
    properties["timeframe"].pop("default", None)
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
        "examples": [EXAMPLE],
    }


class BacktestRequest(RootModel[dict[str, Any]]):
    """A spec. Its fields are checked by the engine, which names every problem at once."""
