"""Two to ten backtests side by side."""

from __future__ import annotations

from flask import Blueprint, render_template

blueprint = Blueprint("compare", __name__)


@blueprint.get("/compare")
def page() -> str:
    """The comparison that the address names."""
    return render_template("compare/page.html")
