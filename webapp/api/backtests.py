"""Submit, list, follow, cancel."""

from __future__ import annotations

from typing import Any, Final

from flask import Response, jsonify, url_for
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel

from engine.errors import SpecErrors
from storage_core import backtests
from storage_core.errors import NotCancellable
from webapp.api.models import (
    BacktestList,
    BacktestPath,
    BacktestRequest,
    Detail,
    ListQuery,
    Problem,
    Status,
    Submitted,
    Summary,
)
from webapp.extensions import db
from webapp.login import need_trader, person
from webapp.lookup import visible_backtest
from webapp.problems import problem
from webapp.submission import BarsMissing, submit

ERRORS: Final[dict[str | int, Any]] = {400: Problem, 401: Problem, 403: Problem, 404: Problem, 422: Problem}

blueprint = APIBlueprint("api", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="backtests")], abp_responses=ERRORS)


@blueprint.post("/backtests/async", responses={202: Submitted})
def submit_backtest(body: BacktestRequest) -> Response:
    """Queue a backtest and answer at once."""
    need_trader()
    raw = {"timezone": person().timezone, **body.root}
    try:
        backtest = submit(raw, owner=person(), source="api")
    except SpecErrors as error:
        errors = [{"field": one.field, "message": str(one), "allowed": one.allowed} for one in error.errors]
        return problem("invalid_spec", "The spec has problems; nothing was submitted.", errors=errors)
    except BarsMissing as error:
        errors = [
            {"field": "symbols", "symbol": one.symbol, "message": str(one), "available": one.available}
            for one in error.missing
        ]
        return problem("no_bars", f"{error}", errors=errors)
    status_url = url_for("api.backtest_status", task_id=backtest.task_id)
    response = _json(Submitted(task_id=backtest.task_id, status_url=status_url), 202)
    response.headers["Location"] = status_url
    return response


@blueprint.get("/backtests/async/<uuid:task_id>/status", responses={200: Status})
def backtest_status(path: BacktestPath) -> Response:
    """How far it is."""
    return _json(Status.of(visible_backtest(path.task_id)))


@blueprint.post("/backtests/<uuid:task_id>/cancel", responses={202: Status, 409: Problem})
def cancel_backtest(path: BacktestPath) -> Response:
    """Stop it: at once while it waits, within moments while it runs; 409 when it has ended."""
    need_trader()
    visible_backtest(path.task_id)
    try:
        row = backtests.cancel(db.session(), path.task_id, by=person().name)
    except NotCancellable as error:
        db.session.rollback()
        return problem("not_cancellable", str(error))
    db.session.commit()
    return _json(Status.of(row), 202)


@blueprint.get("/backtests", responses={200: BacktestList})
def list_backtests(query: ListQuery) -> Response:
    """Your backtests, newest first, a page at a time."""
    found = backtests.list_page(
        db.session(), owner_id=person().sees_owner, after=query.after, before=query.before, size=query.size
    )
    rows = [Summary.model_validate(row, from_attributes=True) for row in found.rows]
    return _json(BacktestList(backtests=rows, newer=found.newer, older=found.older))


@blueprint.get("/backtests/<uuid:task_id>", responses={200: Detail})
def get_backtest(path: BacktestPath) -> Response:
    """One backtest with its spec and all metrics."""
    return _json(Detail.model_validate(visible_backtest(path.task_id), from_attributes=True))


def _json(model: BaseModel, status: int = 200) -> Response:
    response = jsonify(model.model_dump(mode="json"))
    response.status_code = status
    return response
