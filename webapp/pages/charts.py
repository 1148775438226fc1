"""Addresses of the chart data: immutable for a result, so browsers keep them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from flask import Blueprint, Response, abort, request

from storage_core.errors import NoBars
from storage_core.models import Backtest
from webapp.catalog import catalogue
from webapp.errors import answer
from webapp.extensions import bar_store, settings
from webapp.localtime import from_chart
from webapp.login import person
from webapp.lookup import visible_backtest

if TYPE_CHECKING:
    from webapp.charts import Window

blueprint = Blueprint("charts", __name__, url_prefix="/charts")

KEEP = "private, max-age=31536000, immutable"
ASK_AGAIN = "private, no-cache"
LATEST_SECOND = 32_503_680_000.0  # the year 3000


@blueprint.get("/<uuid:task_id>/equity.json")
def equity(task_id: UUID) -> Response:
    """Equity, buy and hold, drawdown; `from` and `to` in the chart's own seconds."""
    from webapp import charts

    backtest, window = _completed(task_id), _window()
    return _answer(backtest, ("equity", window), lambda: charts.equity_json(settings(), bar_store(), backtest, window))


@blueprint.get("/<uuid:task_id>/candles.json")
def candles(task_id: UUID) -> Response:
    """Candles, volume, fills, lines, equity and drawdown of one symbol."""
    from webapp.candle_charts import CandleSource, candles_json

    backtest, window = _completed(task_id), _window()
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


def _window() -> Window:
    from webapp.charts import Window

    start, end = _instant("from"), _instant("to")
    if start is not None and end is not None and start > end:
        abort(400, "from is after to.")
    return Window(start, end, person().timezone)


def _instant(name: str) -> datetime | None:
    text = request.args.get(name)
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= LATEST_SECOND:
        abort(400, f"{name} was {text[:40]!r}; allowed: seconds since 1970.")
    return from_chart(seconds, person().timezone)


def _answer(backtest: Backtest, parts: Sequence[object], make: Callable[[], str]) -> Response:
    """The chart data, made only when the browser has not got it yet."""
    from webapp import charts

    current = charts.version(bar_store(), backtest)
    tag = charts.etag(current, *parts)
    known = _known(tag)
    response = Response(status=304) if known else Response(make(), content_type="application/json")
    response.set_etag(tag)
    # Only an address that names this version can promise never to change.
    response.headers["Cache-Control"] = KEEP if request.args.get("v") == current else ASK_AGAIN
    response.vary.add("Cookie")
    return response


def _known(tag: str) -> bool:
    """Whether the browser has this answer. Compression marks a tag with its method, which changes nothing here."""
    return any(known.partition(":")[0] == tag for known in request.if_none_match.as_set())
