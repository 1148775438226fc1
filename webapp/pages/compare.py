"""Two to ten backtests side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from flask import Blueprint, Response, abort, make_response, render_template, request, url_for
from flask_babel import gettext as _

from storage_core import backtest_list
from storage_core.backtest_filters import Filters
from storage_core.errors import BacktestNotFound, ResultDamaged, ResultMissing
from storage_core.models import Backtest
from webapp.catalog import catalogue
from webapp.context.compared import ctx_metrics, ctx_settings, ctx_sides
from webapp.context.rows import short_params, short_symbols
from webapp.extensions import bar_store, db, settings
from webapp.filters import signed_percent
from webapp.htmx import is_htmx, vary
from webapp.login import person
from webapp.lookup import visible_backtest
from webapp.phrases import said, strategy_name

if TYPE_CHECKING:
    from webapp.curves import Curve

blueprint = Blueprint("compare", __name__)

FEWEST: Final = 2
MOST: Final = 10
OFFERED: Final = 50
_ID: Final = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


@blueprint.get("/compare")
def page() -> Response:
    """The comparison that the address names: `ids` with commas between them, or several times."""
    found, problems = _asked()
    complete = len(found) >= FEWEST
    context = _comparison(found) if complete else {}
    ids = ",".join(str(one.task_id) for one in found)
    html = render_template(
        "compare/_swapped.html" if is_htmx() else "compare/page.html",
        sides=ctx_sides(found, catalogue()),
        problems=problems,
        complete=complete,
        ids=ids,
        offers=_offers(found) if len(found) < MOST else [],
        most=MOST,
        **context,
    )
    response = vary(make_response(html, 422 if problems and not complete else 200))
    if is_htmx():
        response.headers["HX-Push-Url"] = url_for("compare.page", ids=ids or None)  # the shortest that says it
    return response


@blueprint.get("/charts/compare.json")
def curves() -> Response:
    """Equity from 100 and drawdown of each; `from` and `to` in the chart's own seconds."""
    from webapp import comparison
    from webapp.chart_answers import answered, asked_window

    found, problems = _asked()
    if problems or not found:
        abort(404, " ".join(problems) or "ids names no backtest.")
    window = asked_window()
    return answered(_version(found), ("compare", window), lambda: comparison.curves_json(settings(), found, window))


def _version(found: Sequence[Backtest]) -> str:
    """What the chart is drawn from: the results, none of which changes but by choosing symbols."""
    from webapp import charts

    return charts.digest([charts.version(bar_store(), one) for one in found])


def _asked() -> tuple[list[Backtest], list[str]]:
    """The completed backtests that are named, in that order, and a sentence for each that cannot be compared."""
    words = [word for text in request.args.getlist("ids") for word in re.split(r"[,\s]+", text) if word]
    found: dict[UUID, Backtest] = {}
    problems: list[str] = []
    for word in words:
        named = _ID.search(word)
        if named is None:
            problems.append(_("%(word)s is neither the id of a backtest nor its address.", word=word[:60]))
            continue
        _look_up(UUID(named.group()), found, problems)
    if len(found) > MOST:
        problems.append(_("Only the first %(most)s are shown: no more can be told apart.", most=MOST))
    return list(found.values())[:MOST], problems


def _look_up(task_id: UUID, found: dict[UUID, Backtest], problems: list[str]) -> None:
    try:
        one = visible_backtest(task_id)
    except BacktestNotFound:
        problems.append(_("There is no backtest %(id)s, or it belongs to somebody else.", id=task_id))
        return
    if one.status == "completed":
        found[task_id] = one
    else:
        reason = _("%(strategy)s (%(id)s) is %(status)s: only completed backtests can be compared.",
                   strategy=strategy_name(one.strategy), id=str(task_id)[:8], status=said(one.status))  # fmt: skip
        problems.append(reason)


def _offers(found: Sequence[Backtest]) -> list[tuple[UUID, str]]:
    """The newest that could be added."""
    page = backtest_list.list_page(
        db.session(), owner_id=person().sees_owner, size=OFFERED, filters=Filters(statuses=("completed",))
    )
    known, there = catalogue(), {one.task_id for one in found}
    return [
        (
            one.task_id,
            f"{strategy_name(one.strategy)} {short_params(known, one.strategy, one.params)}"
            f" · {short_symbols(one.symbols)} {one.timeframe} · {signed_percent(one.total_return_pct)}",
        )
        for one in page.rows
        if one.task_id not in there
    ]


def _comparison(found: Sequence[Backtest]) -> dict[str, Any]:
    from webapp import comparison

    differ, shared = ctx_settings(found, catalogue())
    curves = [_curve(one) for one in found]
    return {
        "metrics": ctx_metrics(found),
        "differ": differ,
        "shared": shared,
        "version": _version(found),
        "values": comparison.value_rows([curve for curve in curves if curve is not None]),
        "readable": [curve is not None for curve in curves],
        "differences": [_difference(found[0], other) for other in found[1:]],
    }


def _curve(backtest: Backtest) -> Curve | None:
    from webapp import comparison

    try:
        return comparison.normalised(settings(), backtest)
    except (ResultMissing, ResultDamaged):
        return None


def _difference(first: Backtest, other: Backtest) -> Any:
    from webapp import comparison

    try:
        return comparison.first_difference(settings(), first, other)
    except (ResultMissing, ResultDamaged):
        return None
