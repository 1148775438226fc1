"""Text that people and machines store is text on every page: a script in each field, and every page read."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from storage_core import audit, backtests
from storage_core.db import session_scope, utc_now
from storage_core.models import (
    Alert,
    ApiToken,
    Backtest,
    BacktestEvent,
    CustomStrategy,
    Job,
    Preset,
    Process,
    SavedView,
    Schedule,
    User,
)
from tests.webapp import results
from tests.webapp.access_table import TABLE
from tests.webapp.page import Page
from tests.webapp.things import address_of, client_of

TEXT = "\"'><script>alert(1)</script><img src=x onerror=alert(1)><svg/onload=alert(1)>{{ 7*7 }}"
SHORT = TEXT[:40]
PAGES = [route for route in TABLE if route.startswith("GET ") and not route.endswith((".csv", ".json"))]
SHOWING = {
    "GET /account": SHORT,
    "GET /backtests": SHORT,
    "GET /backtests/<uuid:task_id>": SHORT,
    "GET /operations": SHORT,
    "GET /operations/alerts": SHORT,
    "GET /operations/audit": SHORT,
    "GET /schedules": SHORT,
    "GET /strategies": SHORT,
    "GET /users": SHORT,
}
"""Pages that show at least one of the texts, so that reading them proves something."""


@pytest.fixture(scope="module")
def poisoned(shared_engine: Engine, shared_settings, ids: dict[str, int]) -> str:
    """A script in every text column; the id of a completed backtest that has it in all of its own."""
    task_id = results.complete(shared_engine, shared_settings, owner_id=ids["admin"], count=120, trades=5)
    failed = results.queue(shared_engine, owner_id=ids["admin"])
    claim = results.start(shared_engine, failed)
    with session_scope(shared_engine) as session:
        backtests.fail(session, claim, code=SHORT, message=TEXT)
    with session_scope(shared_engine) as session:
        row = session.get_one(Backtest, task_id)
        row.note, row.tags, row.pinned = TEXT, [SHORT], True
        _write(session, ids["admin"], failed, row.spec)
    return str(task_id)


def _write(session: Session, owner: int, task_id, spec) -> None:
    now = utc_now()
    later = {"expires_at": now + timedelta(days=9), "sha256": "0" * 64, "hint": "chts_abcd", "scope": "read"}
    session.add_all(
        [
            ApiToken(owner_id=owner, name=TEXT[:80], **later),
            SavedView(owner_id=owner, name=TEXT[:80], query=f"note={TEXT}"),
            Preset(owner_id=owner, strategy="sma_cross", name=TEXT[:80], fields={"params": {}}, shared=True),
            Schedule(owner_id=owner, name=TEXT[:80], spec=spec, every="day", next_run_at=now, last_error=TEXT),
            Alert(key=TEXT, kind="disk", message=TEXT, detail={TEXT: TEXT}, send_error=TEXT),
            Process(name=TEXT, kind="worker", host=TEXT, pid=1, version=SHORT, detail={TEXT: TEXT}),
            BacktestEvent(task_id=task_id, kind=SHORT, actor=TEXT[:100], host=TEXT, detail={"reason": TEXT}),
            Job(job_id=task_id, kind="backup", phase=TEXT, status="failed", error_code=SHORT, error_message=TEXT),
            CustomStrategy(name=SHORT, label=TEXT, help=TEXT, params={}, source=TEXT, sha256="0" * 64, error=TEXT),
            User(name=TEXT[:80], password_hash="x"),
        ]
    )
    audit.record(session, actor=TEXT, action=SHORT, target=TEXT, detail={TEXT: TEXT}, address=SHORT, request_id=SHORT)


@pytest.mark.parametrize("route", PAGES)
def test_no_stored_text_becomes_an_element(route, shared_app, shared_engine, poisoned, ids, things):
    line = TABLE[route]
    identity = (
        poisoned if line.of == "completed" else things.make(line.of, ids["admin"], fresh=False) if line.of else ""
    )
    address = address_of(shared_app, route.partition(" ")[2], line, identity)
    with client_of(shared_app, "admin", shared_engine, ids).get(address) as answer:
        html = answer.get_data(as_text=True) if answer.mimetype in ("text/html", "text/plain") else ""
    assert answer.status_code < 500 or route in ("GET /readyz", "GET /operations/dead-letters/<uuid:task_id>")
    if answer.mimetype != "text/html":
        return
    page = Page(html)
    for element in page.elements:
        assert element.get("src", "") != "x", address
        handlers = [name for name in element.attrib if name.startswith("on")]
        assert handlers == [], address
        assert element.tag != "script" or element.get("src", "").startswith("/static/"), address
    assert "<svg/onload" not in html
    assert "onload=alert(1)>49" not in page.text
    if route in SHOWING:
        assert SHOWING[route] in page.text, "the page no longer shows the text: name another that does"
