"""The stored bars: inventory, one symbol and timeframe, fetching, deleting. Files are in `data_upload`."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from flask import Blueprint, Response, abort, flash, make_response, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from storage_core import jobs
from storage_core.bar_store import TIMEFRAMES, Coverage
from storage_core.bar_uses import count_uses
from storage_core.errors import BadFilter, BadSymbol, BadTimeframe, BarsDamaged, JobEnded, NoBars
from storage_core.fetch_request import EXCHANGES, KIND
from storage_core.models import Job
from webapp.audit import audit
from webapp.chart_answers import answered, asked_window
from webapp.context.data import JobLine, ctx_gaps, ctx_inventory, ctx_job, ctx_jumps, ctx_line, quality_words
from webapp.errors import answer
from webapp.extensions import bar_store, db, settings
from webapp.fetching import may_stop, start_fetch
from webapp.htmx import go_to, is_htmx, vary
from webapp.login import need_trader, person
from webapp.phrases import refused, said, sentence

blueprint = Blueprint("data", __name__)

SHOWN_JOBS: Final = 6
FIRST_FETCH: Final = {"exchange": "upbit", "symbol": "KRW-BTC", "timeframe": "1h", "start": "2024-01-01"}


@blueprint.get("/data")
def page() -> str:
    """What is stored, and how more comes in."""
    coverages, damaged = _looked_at()
    values = {**FIRST_FETCH, **{name: value[:60] for name, value in request.args.items()}}
    return render_template(
        "data/page.html", lines=ctx_inventory(coverages), damaged=damaged, jobs=_jobs(), **_fetch_context(values, {})
    )


@blueprint.get("/data/jobs")
def job_list() -> str:
    """The part that follows the jobs; with the last one's end, what is stored now."""
    found = _jobs()
    html = render_template("data/_jobs.html", jobs=found)
    if any(one["active"] for one in found):
        return html
    return html + render_template("data/_inventory.html", lines=ctx_inventory(_looked_at()[0]), oob=True)


@blueprint.post("/data/fetch")
def fetch() -> AnyResponse:
    """Begin a fetch, or the form again with an answer beside the wrong field."""
    need_trader()
    values = {name: value.strip()[:60] for name, value in request.form.items() if name != "csrf_token"}
    if values.get("exchange") == "ccxt":
        values["exchange"] = f"ccxt:{values.get('other', '').strip().lower()}"
    try:
        start_fetch(values)
    except BadFilter as error:
        missing = _("Is missing; allowed: %(allowed)s.", allowed=said(error.allowed))
        return _refused(values, {error.field: refused(error.was, error.allowed) if error.was else missing})
    if not is_htmx():
        return go_to(url_for("data.page"))
    form = render_template("data/_fetch.html", **_fetch_context(values, {}))
    response = make_response(form + render_template("data/_jobs.html", jobs=_jobs(), oob=True))
    response.headers["HX-Reswap"] = "outerHTML show:#jobs:top"
    return vary(response)


@blueprint.post("/data/jobs/<uuid:job_id>/cancel")
def cancel(job_id: UUID) -> AnyResponse:
    """Stop a fetch; what it has stored stays."""
    need_trader()
    job = jobs.get(db.session(), job_id)
    if job.kind != KIND or not may_stop(job):
        abort(404)
    try:
        jobs.cancel(db.session(), job_id)
        db.session.commit()
    except JobEnded as error:
        db.session.rollback()
        flash(_("It was already %(status)s when you asked to stop it.", status=said(error.status)))
    if is_htmx():
        return make_response(render_template("data/_jobs.html", jobs=_jobs()))
    return go_to(url_for("data.page"))


@blueprint.get("/data/<symbol>/<timeframe>")
def detail(symbol: str, timeframe: str) -> str:
    """One symbol and timeframe: candles, quality, gaps."""
    from webapp.bar_charts import version

    coverage = _coverage(symbol, timeframe)
    quality = coverage.quality
    if quality is None:
        abort(404)
    return render_template(
        "data/detail.html",
        one=coverage,
        line=ctx_line(coverage, coverage.first, coverage.last),
        words=quality_words(quality, timeframe),
        quality=quality,
        gaps=ctx_gaps(quality),
        jumps=ctx_jumps(quality),
        uses=count_uses(db.session(), symbol, timeframe),
        version=version(bar_store(), symbol, timeframe),
        error=request.args.get("error", "")[:20],
    )


@blueprint.post("/data/<symbol>/<timeframe>/delete")
def delete(symbol: str, timeframe: str) -> AnyResponse:
    """Delete all bars of one symbol and timeframe; the person has typed which."""
    if not person().is_admin:
        abort(403, _("Only an admin may delete bars."))
    _coverage(symbol, timeframe)
    if request.form.get("confirm", "").strip().upper() != symbol:
        return go_to(url_for("data.detail", symbol=symbol, timeframe=timeframe, error="confirm", _anchor="confirm"))
    bar_store().delete(symbol, timeframe)
    audit("bars.deleted", f"{symbol} {timeframe}")
    db.session.commit()
    flash(_("The bars of %(symbol)s %(timeframe)s are deleted.", symbol=symbol, timeframe=timeframe))
    return go_to(url_for("data.page"))


@blueprint.get("/charts/bars/<symbol>/<timeframe>.json")
def candles(symbol: str, timeframe: str) -> Response:
    """Candles and volume; `from` and `to` in the chart's own seconds."""
    from webapp.bar_charts import stored_candles_json, version

    window = asked_window()
    _coverage(symbol, timeframe)
    current = version(bar_store(), symbol, timeframe)
    name = (symbol, timeframe)
    try:
        return answered(current, (window,), lambda: stored_candles_json(settings(), bar_store(), name, window))
    except NoBars as error:
        return answer(404, sentence(f"{error}"))


def _coverage(symbol: str, timeframe: str) -> Coverage:
    try:
        return bar_store().coverage(symbol, timeframe)
    except (NoBars, BadSymbol, BadTimeframe) as error:
        abort(404, sentence(f"{error}"))
    except BarsDamaged as error:
        abort(500, sentence(f"{error}"))


def _looked_at() -> tuple[list[Coverage], list[BarsDamaged]]:
    """The inventory with the quality of each: files that nobody has looked at yet are read now, once."""
    found, damaged = bar_store().scan()
    whole = []
    for one in found:
        try:
            whole.append(one if one.quality else bar_store().coverage(one.symbol, one.timeframe))
        except BarsDamaged as error:
            damaged.append(error)
    return whole, damaged


def _jobs() -> list[JobLine]:
    return [ctx_job(job, stoppable=may_stop(job)) for job in _visible_jobs()]


def _visible_jobs() -> list[Job]:
    return jobs.listed(db.session(), kinds=[KIND], limit=SHOWN_JOBS)


def _refused(values: dict[str, str], errors: dict[str, str]) -> Response:
    if is_htmx():
        html = render_template("data/_fetch.html", **_fetch_context(values, errors))
    else:
        coverages, damaged = _looked_at()
        shown = {"lines": ctx_inventory(coverages), "damaged": damaged, "jobs": _jobs()}
        html = render_template("data/page.html", **shown, **_fetch_context(values, errors))
    return vary(make_response(html, 422))


def _fetch_context(values: dict[str, str], errors: dict[str, str]) -> dict[str, Any]:
    exchange, _colon, other = values.get("exchange", "").partition(":")
    values = {**values, "exchange": exchange, "other": other or values.get("other", "")}
    shown = {"values": values, "errors": errors, "exchanges": EXCHANGES, "timeframes": list(TIMEFRAMES)}
    return {**shown, "upload_error": "", "oob": False}
