"""Operations: what is wrong, what was, whom it is told to, and whether that works."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

from flask import Blueprint, Response, abort, flash, render_template, url_for
from flask_babel import gettext as _
from sqlalchemy import select

from storage_core import alerts
from storage_core.alert_channels import Channel, channels
from storage_core.alert_telling import key_of
from storage_core.alerts import Problem
from storage_core.models import Alert
from webapp.audit import audit
from webapp.context.alerts import ctx_alert, ctx_channels, ctx_test, reason
from webapp.extensions import db, limiter, settings
from webapp.htmx import go_to, is_htmx
from webapp.login import need_admin, need_trader, person

blueprint = Blueprint("operations_alerts", __name__, url_prefix="/operations/alerts")

PAST: Final = 50
TESTS: Final = "6 per minute"
TAKES_TOO_LONG: Final = timedelta(seconds=40)


@blueprint.before_request
def only_traders() -> None:
    """Viewers look at results, not at the machine."""
    need_trader()


@blueprint.get("")
def page() -> str:
    """Open and past alerts, and the channels."""
    return render_template("operations/alerts.html", **_alerts())


@blueprint.get("/list")
def listing() -> str:
    """The part that follows."""
    return render_template("operations/_alerts.html", **_alerts())


@blueprint.post("/test")
@limiter.limit(TESTS)
def send_test() -> str | Response:
    """Ask for a test message; the clock sends it, as it does every other."""
    need_admin()
    if not settings().alert_urls:
        abort(409, _("There is no channel: set ALERT_URLS and start again."))
    session, key = db.session(), f"test:{uuid4()}"
    problem = Problem(f"This is a test of the alerts of coin-hts, asked for by {person().name}. Nothing is wrong.")
    _end_earlier_tests()
    alerts.raise_(session, key, kind="test", problem=problem)
    audit("alerts.tested", ", ".join(channel.name for channel in _channels()))
    session.commit()
    if not is_htmx():
        flash(_("A test message is on its way to every channel."))
        return go_to(url_for("operations_alerts.page"))
    return _tried(session.scalars(select(Alert).where(Alert.key == key)).one())


@blueprint.get("/test/<int:alert_id>")
def test(alert_id: int) -> str:
    """What the channels have done with it."""
    found = db.session.get(Alert, alert_id, populate_existing=True)
    if found is None or found.kind != "test":
        abort(404)
    return _tried(found)


def _tried(alert: Alert) -> str:
    late = datetime.now(UTC) - alert.first_at > TAKES_TOO_LONG
    known = _channels()
    wrong = alerts.open_alerts(db.session(), kind="channel")
    failures = {one.key: reason(one) for one in wrong if one.last_at >= alert.first_at}
    failing = {channel.id: failures[key_of(channel)] for channel in known if key_of(channel) in failures}
    tried = ctx_test(alert, known, late=late, failing=failing)
    if not tried["waiting"] and alert.resolved_at is None:
        alerts.resolve(db.session(), alert.key)
        db.session.commit()
    return render_template("operations/_alerts_test.html", tried=tried)


def _end_earlier_tests() -> None:
    for earlier in alerts.open_alerts(db.session(), kind="test"):
        alerts.resolve(db.session(), earlier.key)


def _channels() -> list[Channel]:
    return channels(settings().alert_urls)


def _alerts() -> dict[str, object]:
    session, now, known = db.session(), datetime.now(UTC), _channels()
    wrong = alerts.open_alerts(session)
    return {
        "open_alerts": [ctx_alert(one, known, now) for one in wrong],
        "past_alerts": [ctx_alert(one, known, now) for one in alerts.past_alerts(session, limit=PAST)],
        "channels": ctx_channels(known, wrong),
    }
