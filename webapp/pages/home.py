"""The start: what runs, what ran last, or what to do first."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, render_template

from storage_core import backtests
from webapp.catalog import catalogue
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
    own = [row for row in found.rows if row.owner_id == person().id]
    sample = next((row for row in found.rows if row.source == "sample"), None)
    return render_template(
        "home/page.html",
        rows=[ctx_row(row, now, catalogue()) for row in found.rows],
        more=found.older is not None,
        first_visit=not own,
        sample=ctx_row(sample, now, catalogue()) if sample is not None else None,
        inventory=bar_store().inventory(),
    )
