"""The start: what runs, what ran last, or what to do first."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, render_template

from storage_core import backtests
from storage_core.backtest_filters import Filters
from storage_core.models import Backtest
from webapp.catalog import catalogue
from webapp.context.listing import ctx_plain_heads
from webapp.context.rows import ctx_row
from webapp.extensions import bar_store, db
from webapp.login import person

blueprint = Blueprint("home", __name__)

RECENT = 10


@blueprint.get("/")
def page() -> str:
    """Recent backtests, the running ones live."""
    found = backtests.list_page(db.session(), owner_id=person().sees_owner, size=RECENT)
    now = datetime.now(UTC)
    first_visit = not any(row.owner_id == person().id for row in found.rows)
    sample = _sample() if first_visit else None
    return render_template(
        "home/page.html",
        rows=[ctx_row(row, now, catalogue()) for row in found.rows],
        heads=ctx_plain_heads(),
        more=found.older is not None,
        first_visit=first_visit,
        sample=sample,
        inventory=bar_store().inventory(),
    )


def _sample() -> Backtest | None:
    """The finished sample, which belongs to nobody and is there for everybody."""
    filters = Filters(sources=("sample",), statuses=("completed",))
    return next(iter(backtests.list_page(db.session(), size=1, filters=filters).rows), None)
