"""The report of a result as one HTML file: it opens offline, asks nobody for anything, and prints."""

from __future__ import annotations

from typing import Final

from flask import render_template

from storage_core.models import Backtest
from webapp.catalog import catalogue
from webapp.context.backtest import ctx_head
from webapp.context.report import ctx_report
from webapp.extensions import bar_store, settings
from webapp.login import person

POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Its styles stand in the file itself; nothing else is allowed, on our site or from a disk."""


def report_html(backtest: Backtest) -> str:
    """The file, in the language and the time zone of the person who asks. Raises ResultMissing and ResultDamaged."""
    asking = person()
    report = ctx_report(settings(), bar_store(), backtest, asking.timezone, catalogue())
    head = ctx_head(backtest, asking.id, catalogue())
    return render_template("report/page.html", head=head, policy=POLICY, zone=asking.timezone, **report)
