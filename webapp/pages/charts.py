"""Addresses of the chart data: immutable for a result, so browsers keep them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from flask import Blueprint, Response, abort, request

from storage_core.errors import NoBars
from storage_core.models import Backtest
from webapp.catalog import catalogue
from webapp.chart_answers import answered, asked_window
from webapp.errors import answer
from webapp.extensions import bar_store, settings
from webapp.lookup import visible_backtest

blueprint = Blueprint("charts", __name__, url_prefix="/charts")


@blueprint.get("/<uuid:task_id>/equity.json")
def equity(task_id: UUID) -> Response:
    """Equity, buy and hold, drawdown; `from` and `to` in the chart's own seconds."""
    from webapp import charts

    backtest, window = _completed(task_id), asked_window()
    return _answer(backtest, ("equity", window), lambda: charts.equity_json(settings(), bar_store(), backtest, window))


@blueprint.get("/<uuid:task_id>/candles.json")
def candles(task_id: UUID) -> Response:
    """Candles, volume, fills, lines, equity and drawdown of one symbol."""
    from webapp.candle_charts import CandleSource, candles_json

    backtest, window = _completed(task_id), asked_window()
    symbol = request.args.get("symbol", backtest.symbols[0])
    if symbol not in backtest.symbols:
        abort(400, f"This backtest has no symbol {symbol[:40]!r}; it has {', '.join(backtest.symbols)}.")
    try:
        return _answer(
            backtest,
            ("candles", symbol, window),
            lambda: candles_json(CandleSource(settings(), bar_store(), backtest, symbol), window, catalogue()),
        )
    except NoBars as error:
        return answer(404, f"The bars are not stored here any more: {error}.")


def _completed(task_id: UUID) -> Backtest:
    backtest = visible_backtest(task_id)
    if backtest.status != "completed":
        abort(404, f"This backtest has no result: it is {backtest.status}.")
    return backtest


def _answer(backtest: Backtest, parts: Sequence[object], make: Callable[[], str]) -> Response:
    from webapp import charts

    return answered(charts.version(bar_store(), backtest), parts, make)
