"""Submit a backtest: and wait for it, or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, url_for

from engine.errors import SpecErrors
from engine.spec import BacktestSpec
from storage_core.models import Backtest
from webapp.api.answers import Detail, Submitted
from webapp.api.blueprint import BACKTESTS, answers, blueprint, to_json
from webapp.api.repeating import repeatable, reserved_id
from webapp.api.requests import BacktestRequest, RunQuery, SubmitQuery
from webapp.api.waiting import ACTIVE, until_ended
from webapp.catalog import catalogue
from webapp.extensions import bar_store
from webapp.login import need_trader, person
from webapp.problems import problem
from webapp.submission import BarsMissing, already_run, checked, enter

GOOD = {200: Detail, 202: Submitted}
PROBLEMS = (400, 409, 413, 415, 422)


@blueprint.post("/backtests", tags=[BACKTESTS], responses=answers(GOOD, *PROBLEMS))
@repeatable
def run_backtest(query: RunQuery, body: BacktestRequest) -> Response:
    """Run a backtest and wait for its result.

    200 with the whole backtest when it ended within `wait` seconds (also when it failed or was cancelled: look at
    `status`), else 202 with where to ask. When too many requests wait already, the answer is 202 at once.
    """
    return _submit(body.root, reuse=query.reuse, wait=query.wait)


@blueprint.post("/backtests/async", tags=[BACKTESTS], responses=answers(GOOD, *PROBLEMS))
@repeatable
def submit_backtest(query: SubmitQuery, body: BacktestRequest) -> Response:
    """Queue a backtest.

    202 at once with where to ask how far it is; 200 only with `reuse=true`, when the result is there already.
    """
    return _submit(body.root, reuse=query.reuse, wait=0)


def accepted(backtest: Backtest) -> Response:
    """202: where to ask about it."""
    status_url = url_for("api.backtest_status", task_id=backtest.task_id)
    result_url = url_for("api.get_backtest", task_id=backtest.task_id)
    answer = Submitted(task_id=backtest.task_id, status=backtest.status, status_url=status_url, result_url=result_url)
    return to_json(answer, 202, {"Location": status_url})


def _submit(raw: Mapping[str, Any], *, reuse: bool, wait: float) -> Response:
    need_trader()
    spec = _checked({"timezone": person().timezone, **raw})
    if isinstance(spec, Response):
        return spec
    if reuse and (known := already_run(spec, by=person())) is not None:
        return to_json(Detail.of(known))
    backtest = until_ended(enter(spec, owner=person(), source="api", task_id=reserved_id()), wait)
    return accepted(backtest) if wait == 0 or backtest.status in ACTIVE else to_json(Detail.of(backtest))


def _checked(raw: Mapping[str, Any]) -> BacktestSpec | Response:
    try:
        return checked(raw, bar_store(), catalogue())
    except SpecErrors as error:
        errors = [{"field": one.field, "message": str(one), "allowed": one.allowed} for one in error.errors]
        return problem("invalid_spec", "The spec has problems; nothing was submitted.", errors=errors)
    except BarsMissing as error:
        errors = [
            {"field": "symbols", "symbol": one.symbol, "message": str(one), "available": one.available}
            for one in error.missing
        ]
        return problem("no_bars", f"{error}", errors=errors)
