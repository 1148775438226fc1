"""What a completed backtest stored: trades, equity, exports."""

from __future__ import annotations

from flask import Response

from storage_core.models import Backtest
from webapp.api.answers import Equity, TradeList
from webapp.api.backtests import link_header
from webapp.api.blueprint import RESULTS, answers, blueprint, to_json
from webapp.api.requests import BacktestPath, EquityQuery, ExportQuery, TradesQuery
from webapp.extensions import settings
from webapp.lookup import visible_backtest
from webapp.problems import problem


@blueprint.get("/backtests/<uuid:task_id>/trades", tags=[RESULTS], responses=answers({200: TradeList}, 404, 409, 422))
def list_trades(path: BacktestPath, query: TradesQuery) -> Response:
    """Read the trades, a page at a time, in the order of their entries."""
    backtest = visible_backtest(path.task_id)
    if (refused := _without_result(backtest, query.symbol)) is not None:
        return refused
    from webapp.api.tables import trades

    found = trades(settings(), backtest, query)
    return to_json(found, headers=link_header({"next": {"after": found.next}}))


@blueprint.get("/backtests/<uuid:task_id>/equity", tags=[RESULTS], responses=answers({200: Equity}, 404, 409, 422))
def read_equity(path: BacktestPath, query: EquityQuery) -> Response:
    """Read the equity curve.

    In at most `points` points or, with `size`, bar by bar in pages.
    """
    backtest = visible_backtest(path.task_id)
    if (refused := _without_result(backtest, query.symbol)) is not None:
        return refused
    from webapp.api.tables import equity

    found = equity(settings(), backtest, query)
    return to_json(found, headers=link_header({"next": {"after": found.next}}))


@blueprint.get(
    "/backtests/<uuid:task_id>/export",
    tags=[RESULTS],
    responses=answers({}, 404, 409, 422) | {200: {"description": "The file, streamed."}},
)
def export_backtest(path: BacktestPath, query: ExportQuery) -> Response:
    """Export the result as JSON, CSV, Parquet or a zip archive."""
    backtest = visible_backtest(path.task_id)
    if (refused := _without_result(backtest, None)) is not None:
        return refused
    from webapp.api.exports import export

    return export(settings(), backtest, query)


def _without_result(backtest: Backtest, symbol: str | None) -> Response | None:
    if backtest.status != "completed":
        return problem("not_completed", f"The backtest is {backtest.status}: it has no result.", was=backtest.status)
    if symbol is not None and symbol not in backtest.symbols:
        allowed = ", ".join(backtest.symbols)
        error = {"field": "symbol", "message": f"symbol was {symbol}; allowed: {allowed}", "allowed": allowed}
        return problem("invalid_request", f"The backtest has no symbol {symbol}.", errors=[error])
    return None
