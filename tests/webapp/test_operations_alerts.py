"""The page of alerts: what is wrong and was, the channels without their secrets, a test message, the badge."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from storage_core import alerts
from storage_core.alert_channels import channels
from storage_core.alert_telling import note_refused, note_taken, owed
from storage_core.alerts import Problem
from storage_core.db import session_scope, utc_now
from storage_core.models import Alert, AuditEntry
from tests.webapp import results

URLS = ("json://hook.example/secret-path", "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ")
PAGE = "/operations/alerts"


@pytest.fixture
def told(app, settings):
    """The application has two channels."""
    app.extensions["settings"] = replace(settings, alert_urls=URLS)
    return channels(URLS)


def raise_(engine, key="disk:/", kind="disk", message="The disk of /data is 91% full", **detail):
    with session_scope(engine) as session:
        alerts.raise_(session, key, kind=kind, problem=Problem(message, detail))


def test_nothing_is_wrong_and_nobody_would_be_told(admin):
    page = admin.get(PAGE)
    assert "Nothing is wrong." in page.text
    assert "no channel is set" in page.text
    assert "Set ALERT_URLS" in page.text
    assert not page.find("button", id="send-test")
    assert not page.find("a", class_="alert-badge")


def test_an_open_alert_and_one_that_is_over(admin, engine, users, told):
    task_id = results.queue(engine, owner_id=users["ada"])
    raise_(engine, "backtest:1", "backtest", "Backtest 1 failed", task_id=str(task_id))
    raise_(engine, "disk:/")
    with session_scope(engine) as session:
        note_taken(session, told[0], owed(session, told[0]))
        alerts.resolve(session, "disk:/")
    page = admin.get(PAGE)
    assert "Backtest 1 failed" in page.text
    assert page.find("a", href=f"/backtests/{task_id}")
    assert "1/2 channels" in page.text
    assert "The disk of /data is 91% full" in page.text.partition("Over")[2]
    assert admin.get(f"{PAGE}/list", htmx=True).by_id("alerts") is not None


def test_the_badge_counts_what_is_open(admin, trader, viewer, engine):
    raise_(engine, "disk:/")
    raise_(engine, "worker:silent", "worker", "No worker")
    for person in (admin, trader):
        (badge,) = person.get("/").find("a", class_="alert-badge")
        assert badge.get("href") == PAGE
        assert badge.get("title") == "2 alerts are open"
    assert not viewer.get("/").find("a", class_="alert-badge")


def test_addresses_are_masked_everywhere(admin, trader, engine, told):
    with session_scope(engine) as session:
        note_refused(session, told[1], [], why="refused")
    for person in (admin, trader):
        page = person.get(PAGE)
        assert "json://hook.example/…" in page.text
        assert "The channel slack://… does not take messages: refused" in page.text
        for secret in ("secret-path", "T1JJ3T3L2", "TIiajkdnlazkcOXrIdevi7FQ"):
            assert secret not in page.html


def test_only_who_works_here_may_look_and_only_admins_test(viewer, trader, told):
    viewer.get(PAGE, status=403)
    viewer.get(f"{PAGE}/list", status=403)
    assert not trader.get(PAGE).find("button", id="send-test")
    assert trader.post(f"{PAGE}/test").status_code == 403


def test_a_test_message_goes_the_way_of_every_alert(admin, engine, told):
    answer = admin.post(f"{PAGE}/test", htmx=True)
    assert answer.get_data(as_text=True).count("on its way") == 2
    with session_scope(engine) as session:
        (test,) = alerts.open_alerts(session, kind="test")
        assert "asked for by ada" in test.message
        (message,) = owed(session, told[0])
        note_taken(session, told[0], [message])
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "alerts.tested")).one()
        assert "secret" not in str(entry.target)
    page = admin.get(f"{PAGE}/test/{test.id}", htmx=True)
    assert "has taken it" in page.text
    assert page.by_id("test-message").get("hx-get")
    with session_scope(engine) as session:
        note_refused(session, told[1], owed(session, told[1]), why="error=404")
    page = admin.get(f"{PAGE}/test/{test.id}", htmx=True)
    assert "error=404" in page.text
    assert page.by_id("test-message").get("hx-get") is None, "every channel has answered"
    with session_scope(engine) as session:
        assert alerts.open_alerts(session, kind="test") == []
        assert alerts.count_open(session) == {"channel": 1}


def test_a_test_message_that_nobody_sends_says_so(admin, engine, told):
    admin.post(f"{PAGE}/test", htmx=True)
    with session_scope(engine) as session:
        (test,) = alerts.open_alerts(session, kind="test")
        test.first_at = utc_now() - timedelta(minutes=1)
    page = admin.get(f"{PAGE}/test/{test.id}", htmx=True)
    assert "does the clock run?" in page.text
    assert page.by_id("test-message").get("hx-get") is None


def test_a_test_message_without_htmx_leads_back_to_the_page(admin, told):
    answer = admin.post(f"{PAGE}/test")
    assert (answer.status_code, answer.location) == (303, PAGE)
    assert "on its way to every channel" in admin.get(PAGE).text


def test_what_is_no_test_has_no_answer(admin, engine, told):
    raise_(engine)
    with session_scope(engine) as session:
        number = session.scalars(select(Alert.id)).one()
    for address in (f"{PAGE}/test/{number}", f"{PAGE}/test/999"):
        assert admin.client.get(address).status_code == 404


def test_without_a_channel_there_is_nothing_to_test(admin):
    assert admin.post(f"{PAGE}/test").status_code == 409


def test_a_message_cannot_bring_markup_into_the_page(admin, engine):
    raise_(engine, message="<script>alert(1)</script>")
    assert "<script>alert" not in admin.get(PAGE).html
