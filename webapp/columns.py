"""The columns of the list: what can be chosen, how a value stands in its cell, and what the header says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

from flask_babel import lazy_gettext as _
from flask_babel.speaklater import LazyString

from engine.metric_table import METRICS, MetricSpec
from storage_core.models import Backtest
from storage_core.models.backtest import METRIC_COLUMNS
from webapp.filters import MISSING, compact, count, day, direction, number, percent, signed_percent, spark_points
from webapp.language import translated
from webapp.phrases import said


class Cell(NamedTuple):
    """A value in a row. `css` classes, `text`, a `title` to hover; `kind` tells the template what else to draw."""

    text: str
    css: str = ""
    title: str = ""
    kind: str = ""


class ParamWords(NamedTuple):
    """The params of a row: few words, and all of them with their names."""

    short: str
    full: str


@dataclass(frozen=True)
class Column:
    """One column. `result` ones have no value before a backtest is completed; `sort` is the order's name."""

    name: str
    label: Any
    css: str
    cell: Callable[[Backtest, ParamWords], Cell]
    result: bool = False
    sort: str = ""
    falling: bool = True
    help: Any = ""


METRIC_OF: Final[Mapping[str, MetricSpec]] = {metric.stored_name: metric for metric in METRICS.values()}
SHORT: Final[Mapping[str, Any]] = {
    "total_return_pct": _("Return"), "cagr_pct": _("CAGR"), "volatility_pct": _("Volatility"), "sharpe": _("Sharpe"),
    "sortino": _("Sortino"), "calmar": _("Calmar"), "max_drawdown_pct": _("Max DD"), "win_rate_pct": _("Win rate"),
    "profit_factor": _("Profit factor"), "trade_count": _("Trades"), "exposure_pct": _("Exposure"),
    "final_equity": _("Final equity"), "buy_and_hold_return_pct": _("Buy and hold"), "expectancy": _("Expectancy"),
    "sqn": _("SQN"), "average_trade_pct": _("Avg trade"), "fees": _("Fees"),
}  # fmt: skip
SIGNED: Final = ("total_return_pct", "cagr_pct", "buy_and_hold_return_pct", "average_trade_pct")
"""Returns: with their sign, arrow and colour."""
SIGNED_ONLY: Final = ("best_trade_pct", "worst_trade_pct", "average_win_pct", "average_loss_pct", "alpha_pct")
"""Returns whose sign says nothing about the result: without arrow and colour."""
DEFAULT_COLUMNS: Final = (
    "symbols", "timeframe", "params", "total_return_pct", "sharpe", "max_drawdown_pct", "trade_count", "equity",
    "created_at",
)  # fmt: skip
SOURCE_WORDS: Final[Mapping[str, Any]] = {
    "web": _("web"), "api": _("API"), "schedule": _("schedule"), "sweep": _("sweep"), "legacy": _("legacy"),
    "sample": _("sample"), "command": _("command"), "verify": _("verification"),
}  # fmt: skip
SHOWN_SYMBOLS: Final = 2


def metric_text(name: str, value: float | None) -> str:
    """The value of a stored metric as a person reads it."""
    metric = METRIC_OF[name]
    if name in SIGNED:
        return signed_percent(value)
    if metric.unit == "fraction":
        return percent(value, 1)
    if metric.unit == "count":
        return count(value)
    return compact(value) if metric.unit == "money" else number(value)


def _metric_cell(name: str) -> Callable[[Backtest, ParamWords], Cell]:
    def cell(backtest: Backtest, _params: ParamWords) -> Cell:
        value: float | None = getattr(backtest, name)
        text = metric_text(name, value)
        if text == MISSING:
            return Cell(text, "num", kind="missing")
        way = direction(value) if name in SIGNED else ""
        return Cell(text, f"num {way}" if way else "num", kind=way)

    return cell


def _equity(backtest: Backtest, _params: ParamWords) -> Cell:
    way = "gain" if (backtest.total_return_pct or 0) >= 0 else "loss"
    return Cell(spark_points(backtest.sparkline), f"num {way}", kind="spark")


def _symbols(backtest: Backtest, _params: ParamWords) -> Cell:
    symbols = backtest.symbols
    return Cell(short_symbols(symbols), "roomy", ", ".join(symbols) if len(symbols) > SHOWN_SYMBOLS else "")


def _period(backtest: Backtest, _params: ParamWords) -> Cell:
    return Cell(f"{day(backtest.start_date)} – {day(backtest.end_date)}")


def _note(backtest: Backtest, _params: ParamWords) -> Cell:
    return Cell(backtest.note, "clip", backtest.note)


def short_symbols(symbols: list[str]) -> str:
    """The first symbols, and how many more there are."""
    shown = ", ".join(symbols[:SHOWN_SYMBOLS])
    more = len(symbols) - SHOWN_SYMBOLS
    return f"{shown} +{more}" if more > 0 else shown


def _metric_column(name: str) -> Column:
    metric = METRIC_OF[name]
    return Column(
        name,
        SHORT[name],
        "num",
        _metric_cell(name),
        result=True,
        sort=name,
        falling=metric.better != "lower",
        help=LazyString(lambda: f"{translated(metric.label)}: {translated(metric.help)}"),
    )


_ALL: Final = (
    Column("symbols", _("Symbols"), "roomy", _symbols, sort="symbols", falling=False),
    Column(
        "timeframe",
        _("TF"),
        "roomy",
        lambda row, _: Cell(row.timeframe, "roomy"),
        sort="timeframe",
        falling=False,
        help=_("Timeframe"),
    ),
    Column(
        "params",
        _("Params"),
        "roomy",
        lambda _, params: Cell(params.short, "muted clip roomy", params.full),
        help=_("Params have no order, as every strategy has its own. Sort by a metric."),
    ),
    Column("period", _("Period"), "", _period, sort="start_date"),
    *(_metric_column(name) for name in METRIC_COLUMNS),
    Column("equity", _("Equity"), "num", _equity, result=True),
    Column(
        "source",
        _("Source"),
        "",
        lambda row, _: Cell(str(SOURCE_WORDS[row.source]), "muted"),
        sort="source",
        falling=False,
    ),
    Column("note", _("Note"), "", _note, sort="note", falling=False),
    Column("created_at", _("Submitted"), "", lambda row, _: Cell("", "muted", kind="time"), sort="created_at"),
)
STATE: Final = Column(
    "state",
    _("State"),
    "",
    lambda row, _: Cell(said(row.status), "muted"),
    result=True,
    sort="status",
    falling=False,
)
"""Where no result is to be shown: what became of it."""
STRATEGY: Final = Column(
    "strategy", _("Strategy"), "", lambda row, _: Cell(row.strategy), sort="strategy", falling=False
)
"""The first column, which is always there; its cell has a link and chips and is the template's."""
COLUMNS: Final[Mapping[str, Column]] = {column.name: column for column in _ALL}


@cache
def chosen(names: tuple[str, ...]) -> tuple[tuple[Column, ...], tuple[Column, ...], tuple[Column, ...]]:
    """The columns before the results, those of results, and those after; in the order of the table."""
    known = list(COLUMNS)
    edge = known.index(METRIC_COLUMNS[0])
    before = tuple(COLUMNS[name] for name in known[:edge] if name in names)
    results = tuple(COLUMNS[name] for name in known[edge:] if name in names and COLUMNS[name].result)
    return before, results, tuple(COLUMNS[name] for name in known[edge:] if name in names and not COLUMNS[name].result)
