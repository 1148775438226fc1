"""What the API gives."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, create_model

from storage_core.models import STATUSES, Backtest
from storage_core.models.backtest import METRIC_COLUMNS, SOURCES
from webapp.problems import KINDS

State = Literal[STATUSES]  # type: ignore[valid-type]
EXAMPLE_ID = "5f0c1c3e-0d8a-4c55-9a53-0a4c7d0f6b11"


class Answer(BaseModel):
    """Read from a row's attributes; no field that is not declared. Built at its first use, as are all the others."""

    model_config = ConfigDict(
        defer_build=True, from_attributes=True, extra="forbid", json_schema_serialization_defaults_required=True
    )


class Problem(BaseModel):
    """RFC 9457, with a stable code. Some codes bring more fields."""

    model_config = ConfigDict(defer_build=True, extra="allow")

    type: str = Field(examples=["/api/docs#not_found"])
    title: str
    status: int
    code: Literal[tuple(KINDS)] = Field(examples=["not_found"])  # type: ignore[valid-type]
    detail: str
    errors: list[dict[str, Any]] = Field([], description="One for each field that is wrong: field, message, allowed.")


class Submitted(Answer):
    """A backtest that was accepted; `Location` and `status_url` say where to ask how far it is."""

    task_id: UUID = Field(examples=[EXAMPLE_ID])
    status: State
    status_url: str = Field(examples=[f"/api/v1/backtests/async/{EXAMPLE_ID}/status"])
    result_url: str = Field(examples=[f"/api/v1/backtests/{EXAMPLE_ID}"])


class Status(Answer):
    """How far a backtest is."""

    task_id: UUID
    status: State
    progress: float = Field(ge=0, le=1)
    phase: str = Field(description="What the worker does at the moment; empty when there is nothing to say.")
    attempt: int = Field(description="How many times a worker began it.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None
    error_code: str | None
    error_message: str | None


def _metric(name: str) -> Any:
    unit = "percent" if name.endswith("_pct") else ""
    kind = int if name == "trade_count" else float
    return kind | None, Field(description=unit) if unit else Field()


class Summary(Status, create_model("Metrics", **{name: _metric(name) for name in METRIC_COLUMNS})):  # type: ignore[misc]
    """A backtest in a list. Metrics whose name ends in _pct are percent; one that is not defined is null."""

    strategy: str
    params: dict[str, Any]
    symbols: list[str]
    timeframe: str
    start_date: date
    end_date: date
    source: Literal[SOURCES]  # type: ignore[valid-type]
    owner_id: int | None
    note: str
    tags: list[str]
    pinned: bool
    shared: bool = Field(description="Whether everybody may read it who may log in.")
    deleted_at: datetime | None


class Detail(Summary):
    """A backtest with its whole spec and everything that was measured."""

    spec: dict[str, Any]
    metadata: dict[str, Any] = Field(validation_alias="metadata_", description="All metrics, checks and versions.")
    record_count: int | None
    file_size: int | None

    @classmethod
    def of(cls, row: Backtest) -> Detail:
        """All of a row."""
        return cls.model_validate(row)


class BacktestList(Answer):
    """A page; `older` goes in `after=` for the next one, `newer` in `before=` for the one before, as in `Link`."""

    backtests: list[Summary]
    newer: str | None
    older: str | None


class TradeRow(Answer):
    """One round trip. Times are open times of bars; prices and money in the quote currency."""

    number: int = Field(description="0, 1, 2 ... in the order of the entries, of all symbols together.")
    symbol: str
    side: Literal["long", "short"]
    status: str = Field(description="closed, or open when the data ended first")
    entry_at: datetime
    entry_price: float | None
    exit_at: datetime | None
    exit_price: float | None
    quantity: float | None
    pnl: float | None
    return_pct: float | None
    hold_bars: int | None
    fee: float | None
    slippage: float | None
    exit_reason: str | None
    mae_pct: float | None
    mfe_pct: float | None


class TradeList(Answer):
    """Trades in the order of their entries; `next` goes in `after=`, null on the last page."""

    trades: list[TradeRow]
    total: int
    next: int | None


class Equity(Answer):
    """The equity curve in columns of equal length: of one symbol, or the sum over all of them."""

    symbol: str | None
    sampled: bool = Field(description="Whether bars were left out; the lowest and highest points never are.")
    timestamp: list[datetime]
    equity: list[float]
    drawdown_pct: list[float] = Field(description="Percent below the highest equity so far, 0 or less.")
    total: int = Field(description="Bars of the whole curve.")
    next: int | None = Field(description="Goes in after= for the next page; null on the last one and when sampled.")


class Deleted(Answer):
    """A deleted backtest is kept for a week, in which a POST to `restore_url` brings it back."""

    task_id: UUID
    deleted_at: datetime
    restore_url: str
    restore_until: datetime


class ParamInfo(Answer):
    """One param of a strategy."""

    name: str
    type: Literal["int", "float", "bool", "choice"]
    default: int | float | bool | str | None
    minimum: float | None
    maximum: float | None
    step: float | None
    exclusive_minimum: bool
    label: str
    help: str
    choices: list[str]


class StrategyInfo(Answer):
    """A strategy, its params, and the JSON Schema that `params` of a backtest must keep to."""

    name: str
    label: str
    help: str
    own: bool = Field(description="Whether it is one of your own, not a shipped one.")
    source: str | None = Field(description="Where one of your own was loaded from.")
    sha256: str | None = Field(description="Digest of that file.")
    params: list[ParamInfo]
    params_schema: dict[str, Any]


class BrokenStrategy(Answer):
    """One of your own that the workers could not load, and why."""

    name: str
    source: str
    sha256: str
    error: str


class StrategyList(Answer):
    """Every strategy that can be run, and your own that cannot."""

    strategies: list[StrategyInfo]
    broken: list[BrokenStrategy]


class CoverageInfo(Answer):
    """What is stored of one symbol and timeframe; `first` and `last` are open times of bars."""

    symbol: str
    timeframe: str
    rows: int
    first: datetime
    last: datetime
    bytes: int


class Inventory(Answer):
    """All stored bars."""

    data: list[CoverageInfo]
