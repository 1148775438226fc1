"""Addresses of the chart data: immutable for a result, so browsers keep them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from flask import Blueprint, Response, abort, jsonify, request
from flask_babel import gettext as _

from storage_core.errors import NoBars
from storage_core.models import Backtest
from webapp.catalog import catalogue
from webapp.chart_answers import ASK_AGAIN, answered, asked_instant, asked_window
from webapp.errors import answer
from webapp.extensions import bar_store, settings
from webapp.localtime import to_chart
from webapp.login import person
from webapp.lookup import visible_backtest
from webapp.phrases import said

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
    symbol = _symbol(backtest)
    try:
        return _answer(
            backtest,
            ("candles", symbol, window),
            lambda: candles_json(CandleSource(settings(), bar_store(), backtest, symbol), window, catalogue()),
        )
    except NoBars as error:
        return answer(404, _("The bars are not stored here any more: %(why)s.", why=said(f"{error}")))


@blueprint.get("/<uuid:task_id>/trade.json")
def trade(task_id: UUID) -> Response:
    """The first trade of a symbol that begins after, or the last before, an instant in chart seconds; 204 without."""
    from webapp.candle_charts import trade_beside

    backtest, after, before = _completed(task_id), asked_instant("after"), asked_instant("before")
    if (after is None) == (before is None):
        abort(400, "Give after or before: seconds since 1970.")
    symbol, zone = _symbol(backtest), person().timezone
    found = trade_beside(settings(), backtest, symbol, after=after, before=before)
    if found is None:
        return Response(status=204)
    at, until = (to_chart([micros // 1_000_000], zone)[0] for micros in found)
    response = jsonify({"at": at, "until": until})
    response.headers["Cache-Control"] = ASK_AGAIN
    return response


def _symbol(backtest: Backtest) -> str:
    symbol = request.args.get("symbol", backtest.symbols[0])
    if symbol not in backtest.symbols:
        abort(400, f"This backtest has no symbol {symbol[:40]!r}; it has {', '.join(backtest.symbols)}.")
    return symbol


def _completed(task_id: UUID) -> Backtest:
    backtest = visible_backtest(task_id)
    if backtest.status != "completed":
        abort(404, f"This backtest has no result: it is {backtest.status}.")
    return backtest


def _answer(backtest: Backtest, parts: Sequence[object], make: Callable[[], str]) -> Response:
    from webapp import charts

    return answered(charts.version(bar_store(), backtest), parts, make)
