"""One backtest: followed while it runs, read by tabs when it is done."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, abort, flash, make_response, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from engine.spec import TIMEFRAMES
from storage_core import backtests, processes, strategy_lines
from storage_core.backtest_keeping import UNDO_FOR
from storage_core.errors import NotCancellable, ResultDamaged, ResultMissing
from storage_core.models import Backtest
from webapp.catalog import catalogue
from webapp.context.backtest import ctx_head, ctx_life
from webapp.context.rows import ACTIVE
from webapp.extensions import bar_store, db, settings
from webapp.filters import zone_name
from webapp.htmx import after_the_queue_moved, go_to, is_htmx, replacing, vary
from webapp.localtime import to_chart
from webapp.login import need_trader, person
from webapp.lookup import visible_backtest
from webapp.phrases import said, sentence

blueprint = Blueprint("backtest", __name__, url_prefix="/backtests/<uuid:task_id>")

LAST_TRADES = 8


@blueprint.get("")
def page(task_id: UUID) -> AnyResponse:
    """Overview of a result, the life of what has none yet, or how to take a deletion back."""
    return _tab(task_id, "overview")


@blueprint.get("/data-changed")
def data_changed(task_id: UUID) -> str:
    """Whether the bars are still those of the result. A fragment of its own, as it may have to read them all."""
    from webapp.symbol_figures import changed_bars

    backtest = visible_backtest(task_id)
    noted = bool(backtest.metadata_.get("data"))
    changed = changed_bars(bar_store(), backtest)
    return render_template("backtest/_data_changed.html", head=head_of(backtest), changed=changed, noted=noted)


@blueprint.get("/chart")
def chart(task_id: UUID) -> AnyResponse:
    """Candles with the fills; `symbol`, and `at` .. `until` in chart seconds to begin at a trade."""
    return _tab(task_id, "chart")


@blueprint.get("/trades")
def trades(task_id: UUID) -> AnyResponse:
    """Every trade, a page at a time."""
    return _tab(task_id, "trades")


@blueprint.get("/trades.csv")
def trades_csv(task_id: UUID) -> Response:
    """The trades that the filters of the tab leave, all of them, in that order."""
    from webapp import trades
    from webapp.context.trades import read_wanted

    backtest = visible_backtest(task_id)
    if backtest.status != "completed":
        abort(404, _("This backtest has no result: it is %(status)s.", status=said(backtest.status)))
    wanted, problems = read_wanted(request.args, backtest.symbols, trades.exit_reasons(settings(), backtest))
    if problems:
        abort(400, " ".join(problems))
    response = Response(trades.csv_lines(settings(), backtest, wanted), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="trades-{task_id}.csv"'
    return response


@blueprint.get("/analysis")
def analysis(task_id: UUID) -> AnyResponse:
    """How the returns of trades, days and months are spread."""
    return _tab(task_id, "analysis")


@blueprint.get("/setup")
def setup(task_id: UUID) -> AnyResponse:
    """What was asked, with which versions, and what happened when."""
    return _tab(task_id, "setup")


@blueprint.get("/status")
def status(task_id: UUID) -> Response:
    """What polls itself while the backtest is active; once it has ended, the whole page's content in its place."""
    backtest = visible_backtest(task_id)
    if backtest.status in ACTIVE:
        return make_response(render_template("backtest/_status.html", head=head_of(backtest), life=_life(backtest)))
    return after_the_queue_moved(replacing(content_of(backtest, "overview"), "#backtest"))


@blueprint.post("/cancel")
def cancel(task_id: UUID) -> AnyResponse:
    """Stop it; a finished one stays as it is, and the page says so."""
    need_trader()
    if not person().may_stop(visible_backtest(task_id)):
        abort(403, _("Only its owner, or an admin, may stop this backtest."))
    try:
        stopped = backtests.cancel(db.session(), task_id, by=person().name)
        db.session.commit()
    except NotCancellable as error:
        db.session.rollback()
        flash(_("It was already %(status)s when you asked to stop it.", status=said(error.status)))
    else:
        if is_htmx():
            return after_the_queue_moved(make_response(content_of(stopped, "overview")))
    return go_to(url_for("backtest.page", task_id=task_id))


def _deleted(task_id: UUID) -> Response | None:
    """To whoever may take the deletion back, instead of the page."""
    backtest = backtests.get(db.session(), task_id)
    if backtest.deleted_at is None or not (person().may_run and person().owns(backtest)):
        return None
    until = backtest.deleted_at + UNDO_FOR
    shown = until if until > datetime.now(UTC) else None
    return make_response(render_template("backtest/deleted.html", head=head_of(backtest), until=shown))


def _tab(task_id: UUID, tab: str) -> AnyResponse:
    deleted = _deleted(task_id)
    if deleted is None:
        return _show(visible_backtest(task_id), tab)
    # In another tab of the browser, say: the page itself tells, and offers to take it back.
    return deleted if tab == "overview" and not is_htmx() else go_to(url_for("backtest.page", task_id=task_id))


def _show(backtest: Backtest, tab: str) -> AnyResponse:
    """The page; for htmx on a finished backtest only the tab."""
    if backtest.status != "completed" and tab != "overview":
        return go_to(url_for("backtest.page", task_id=backtest.task_id))
    if is_htmx() and backtest.status == "completed":
        html = render_template("backtest/_tabs.html", head=head_of(backtest), tab=tab, **_tab_context(backtest, tab))
    else:
        try:
            content = content_of(backtest, tab)
        except (ResultMissing, ResultDamaged) as error:
            return _unreadable(backtest, error)
        html = render_template("backtest/page.html", content=content, head=head_of(backtest))
    return vary(make_response(html))


def _unreadable(backtest: Backtest, error: ResultMissing | ResultDamaged) -> AnyResponse:
    """What the row still knows of a result whose files are gone or broken, and what helps."""
    from webapp.context.result import ctx_strip

    head, missing = head_of(backtest), isinstance(error, ResultMissing)
    strip = ctx_strip(backtest, head["currency"])
    detail = f"{error}" if person().sees_all else ""
    content = render_template("backtest/_unreadable.html", head=head, strip=strip, missing=missing, detail=detail)
    page = make_response(render_template("backtest/page.html", content=content, head=head))
    page.status_code = 404 if missing else 500
    return vary(page)


def content_of(backtest: Backtest, tab: str) -> str:
    """Everything below the navigation: the result, or the life."""
    head = head_of(backtest)
    if backtest.status != "completed":
        return render_template("backtest/_life.html", head=head, life=_life(backtest))
    from webapp.context.result import ctx_strip

    context = _tab_context(backtest, tab)
    strip = ctx_strip(backtest, head["currency"])
    return render_template("backtest/_result.html", head=head, tab=tab, strip=strip, **context)


def _tab_context(backtest: Backtest, tab: str) -> dict[str, Any]:
    makers = {"overview": _overview, "chart": _chart, "trades": _trades, "analysis": _analysis, "setup": _setup}
    return makers[tab](backtest)


def _overview(backtest: Backtest) -> dict[str, Any]:
    from webapp import charts, curves, trades
    from webapp.context import result
    from webapp.context.keeping import ctx_note
    from webapp.symbol_figures import can_choose

    quote = head_of(backtest)["currency"]
    times, columns = charts.equity_columns(settings(), bar_store(), backtest)
    equity, start = curves.Curve(times, columns["equity"]), curves.start_cash(backtest)
    return {
        "version": charts.version(bar_store(), backtest),
        "checks": result.ctx_checks(backtest),
        "assumptions": result.ctx_assumptions(backtest, quote),
        "months": result.ctx_months(curves.monthly_returns(equity, start, person().timezone)),
        "month_names": result.month_names(),
        "symbol_rows": trades.read_symbols(settings(), backtest),
        "last_trades": trades.read_trades(settings(), backtest, size=LAST_TRADES),
        "note": ctx_note(backtest, editing=request.args.get("edit") == "note" and head_of(backtest)["may_change"]),
        "can_choose": can_choose(backtest),
    }


def _chart(backtest: Backtest) -> dict[str, Any]:
    from webapp import charts, trades

    symbol = request.args.get("symbol", backtest.symbols[0])
    symbol = symbol if symbol in backtest.symbols else backtest.symbols[0]
    return {
        "version": charts.version(bar_store(), backtest),
        "symbol": symbol,
        "symbols": backtest.symbols,
        "bar_seconds": TIMEFRAMES[backtest.timeframe],
        "at": request.args.get("at", type=int),
        "until": request.args.get("until", type=int),
        "lines_problem": sentence(strategy_lines.problem(backtest.metadata_)),
        "lines_lost": strategy_lines.lost(backtest.metadata_),
        "last_trades": trades.read_trades(settings(), backtest, trades.Wanted(symbol=symbol), size=LAST_TRADES),
    }


def _trades(backtest: Backtest) -> dict[str, Any]:
    from webapp import trades
    from webapp.context.trades import ctx_choices, ctx_trade_heads, query_of, read_wanted

    reasons = trades.exit_reasons(settings(), backtest)
    wanted, problems = read_wanted(request.args, backtest.symbols, reasons)
    number = request.args.get("page", default=1, type=int)
    zone = zone_name(person().timezone)
    several, quote = len(backtest.symbols) > 1, head_of(backtest)["currency"]
    return {
        "trades": trades.read_trades(settings(), backtest, wanted, page=number),
        "problems": problems,
        "query": query_of(wanted),
        "choices": ctx_choices(wanted, backtest.symbols, reasons),
        "heads": ctx_trade_heads(wanted, several=several, currency=quote, zone=zone),
    }


def _analysis(backtest: Backtest) -> dict[str, Any]:
    from webapp.context.analysis import ctx_analysis_of
    from webapp.context.result import month_names

    found = ctx_analysis_of(settings(), bar_store(), backtest, person().timezone, link=partial(_trade_link, backtest))
    return {**found, "month_names": month_names()}


def _trade_link(backtest: Backtest, symbol: str, entered: int, left: int) -> str:
    at, until = (to_chart([micros // 1_000_000], person().timezone)[0] for micros in (entered, left))
    return url_for("backtest.chart", task_id=backtest.task_id, symbol=symbol, at=at, until=until)


def _setup(backtest: Backtest) -> dict[str, Any]:
    from webapp.context.setup import ctx_setup
    from webapp.pages.verification import verification_of

    return {
        "setup": ctx_setup(backtest, person().timezone, catalogue()),
        "life": _life(backtest),
        "verification": verification_of(backtest),
    }


def head_of(backtest: Backtest) -> Any:
    """The head of the page, as the person who asks may see it."""
    may_change = person().may_run and person().owns(backtest)
    return ctx_head(backtest, person().id, catalogue(), may_change=may_change)


def _life(backtest: Backtest) -> Any:
    now, session = datetime.now(UTC), db.session()
    workers = sum(one.kind == "worker" for one in processes.alive(session, now)) if backtest.status == "queued" else 0
    return ctx_life(backtest, backtests.events(session, backtest.task_id), now, workers=workers)
