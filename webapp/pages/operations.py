"""Operations, first part: the queue and who works on it."""

from __future__ import annotations

from flask import Blueprint, render_template

from webapp.login import need_trader

blueprint = Blueprint("operations", __name__, url_prefix="/operations")


@blueprint.before_request
def only_traders() -> None:
    """Viewers look at results, not at the machine."""
    need_trader()


@blueprint.get("")
def page() -> str:
    """What waits, what runs, who works, and what failed for good."""
    return render_template("operations/page.html")
