"""The start: what runs, what ran last and best, how the installation is, or what to do first."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from flask import Blueprint, Response, current_app, make_response, render_template

from storage_core import backtest_list, backtests, jobs, processes, stats
from storage_core.backtest_filters import Filters
from storage_core.backtest_list import Listed
from webapp.context.home import State, ctx_backup, ctx_bars, ctx_state
from webapp.context.listing import ctx_plain_heads
from webapp.context.rows import ACTIVE
from webapp.extensions import bar_store, db
from webapp.htmx import after_the_queue_moved
from webapp.login import person
from webapp.pages.backtests import ctx_rows

blueprint = Blueprint("home", __name__)

RECENT: Final = 10
SHOWN: Final = ("total_return_pct", "sharpe", "max_drawdown_pct", "trade_count", "equity", "created_at")
BEST: Final = 5
WEEK: Final = timedelta(days=7)
ENOUGH_TRADES: Final = 5
"""A Sharpe ratio of fewer is luck."""
COUNTED_EVERY: Final = 60.0
FEW: Final = 10_000  # counted each time: a few milliseconds
BACKUPS: Final = ("backup",)


@blueprint.get("/")
def page() -> str:
    """What runs first, then what ended last; the rows that run are live."""
    active = _listed(Filters(statuses=ACTIVE), size=RECENT)
    ended = _listed(Filters(statuses=("completed", "failed", "cancelled")), size=RECENT)
    rows = [*active, *ended][: max(RECENT, len(active))]
    first_visit = not any(row.owner_id == person().id for row in rows)
    best = [] if first_visit else _best()
    return render_template(
        "home/page.html",
        rows=_lines(rows),
        best=_lines(best),
        heads=ctx_plain_heads(SHOWN),
        first_visit=first_visit,
        sample=next(iter(_listed(Filters(sources=("sample",), statuses=("completed",)), size=1)), None)
        if first_visit
        else None,
        inventory=bar_store().inventory(),
        state=_state(),
        enough_trades=ENOUGH_TRADES,
    )


@blueprint.get("/home/state")
def state() -> Response:
    """Queue and workers, which ask again every few seconds; the header tells the same of the queue."""
    state = _state()
    response = make_response(render_template("home/_state.html", state=state))
    return after_the_queue_moved(response) if state["running"] + state["queued"] else response


@blueprint.get("/home/stored")
def stored() -> str:
    """How much is stored and when it was backed up: fetched after the page, because counting takes a moment."""
    last = jobs.listed(db.session(), kinds=BACKUPS, limit=5)
    return render_template(
        "home/_stored.html",
        total=_total(),
        bars=ctx_bars(bar_store().inventory()),
        backup=ctx_backup(last, datetime.now(UTC)),
    )


def _listed(filters: Filters, *, size: int, sort: str = backtest_list.NEWEST) -> Sequence[Listed]:
    found = backtest_list.list_page(db.session(), owner_id=person().sees_owner, size=size, filters=filters, sort=sort)
    return found.rows


def _best() -> Sequence[Listed]:
    """The best of the week by Sharpe ratio, of those that traded. A run that verifies another is no second one."""
    filters = Filters(
        statuses=("completed",),
        submitted_from=datetime.now(UTC) - WEEK,
        metrics={"trade_count": (ENOUGH_TRADES, None), "sharpe": (None, None)},
    )
    found = _listed(filters, size=5 * BEST, sort="-sharpe")
    return [row for row in found if row.sharpe is not None and row.source != "verify"][:BEST]


def _lines(rows: Sequence[Listed]) -> list[Any]:
    return list(ctx_rows(rows, SHOWN))


def _state() -> State:
    now = datetime.now(UTC)
    return ctx_state(backtests.counts(db.session()), processes.alive(db.session(), now), now)


def _total() -> stats.Share:
    """Many are counted once a minute: with a million results it is a scan of all rows."""
    kept: tuple[float, stats.Share] | None = current_app.extensions.get("stored_in_all")
    if kept is None or kept[1].backtests < FEW or time.monotonic() - kept[0] > COUNTED_EVERY:
        kept = (time.monotonic(), stats.stored_in_all(db.engine))
        current_app.extensions["stored_in_all"] = kept
    return kept[1]
