"""The page of the queue: who may look, who waits, who works, and what failed in every attempt."""

from dataclasses import replace
from datetime import timedelta

import pytest
import redis
from sqlalchemy import select

from storage_core import backtests, jobs, processes
from storage_core.audit import list_entries
from storage_core.db import session_scope, utc_now
from storage_core.models import BacktestEvent
from storage_core.processes import Sign
from tests.services import running_valkey
from tests.webapp import results
from webapp.context.operations import TABS, ctx_tabs
from workers.dead_letters import bury, list_dead
from workers.queue import make_broker


@pytest.fixture(scope="module")
def valkey_url():
    with running_valkey() as url:
        yield url


@pytest.fixture
def broker(valkey_url):
    """A queue server, emptied, that the pages use too."""
    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()
    made = make_broker(valkey_url)
    yield made
    made.close()


@pytest.fixture
def settings(settings, request):
    if "broker" in request.fixturenames:
        return replace(settings, redis_url=request.getfixturevalue("valkey_url"))
    return settings


@pytest.fixture
def fail(engine, broker):
    """Makes a backtest that failed in its third attempt."""

    def make(owner_id, reason="the disk is full"):
        task_id = results.queue(engine, owner_id=owner_id)
        for attempt in (1, 2, 3):
            claim = results.start(engine, task_id)
            with session_scope(engine) as session:
                if attempt < 3:
                    backtests.release(session, claim, reason=reason)
                else:
                    backtests.fail(session, claim, code="disk_problem", message=reason)
        bury(
            broker,
            task_id,
            code="disk_problem",
            reason=reason,
            traceback="line 17 of <b>x</b>",
            attempt=3,
            worker="m1:7",
        )
        return task_id

    return make


def live(engine, name="m1:7", kind="worker", **more):
    with session_scope(engine) as session:
        at = more.pop("now", utc_now())
        processes.sign_of_life(session, Sign(name=name, kind=kind, pid=7, started_at=at, version="abc", **more), now=at)


def kinds(engine, task_id):
    with session_scope(engine) as session:
        return list(session.scalars(select(BacktestEvent.kind).where(BacktestEvent.task_id == task_id)))


def audited(engine):
    with session_scope(engine) as session:
        return [(entry.actor, entry.action, entry.target) for entry in list_entries(session).rows]


def status_of(engine, task_id):
    with session_scope(engine) as session:
        return backtests.get(session, task_id).status


def test_traders_and_admins_see_it_and_viewers_do_not(trader, admin, viewer, visitor):
    for browser in (trader, admin):
        page = browser.get("/operations")
        assert "/operations" in [link.get("href") for link in page.find("a", class_="nav-item roomy")]
    for address in ("/operations", "/operations/queue"):
        assert "Ask an admin" in viewer.get(address, status=403).text
    assert viewer.post("/operations/dead-letters/retry").status_code == 403
    assert not viewer.get("/backtests").find("a", href="/operations")
    assert visitor.client.get("/operations").location == "/login?next=/operations"


def test_a_tab_appears_when_its_page_is_there(app):
    with app.test_request_context():
        assert [tab["label"] for tab in ctx_tabs({"operations.page", "operations_audit.page"})] == [
            "Queue",
            "Audit log",
        ]
        assert len(ctx_tabs([endpoint for _, _, endpoint in TABS])) == 5


def test_an_empty_queue_says_what_to_do(trader):
    page = trader.get("/operations")
    assert "Nothing waits and nothing runs." in page.text
    assert "No worker gives a sign of life" in page.text
    assert "The queue server does not answer" in page.text


def cells(page):
    """The table rows of a page, each as the texts of its cells."""
    return [[" ".join(" ".join(cell.itertext()).split()) for cell in row] for row in page.find("tr")]


def test_people_see_their_own_lines_and_the_others_as_one(engine, users, admin, trader):
    for owner in (users["tom"], users["ada"], users["vera"], None):
        results.queue(engine, owner_id=owner)
    results.start(engine, results.queue(engine, owner_id=users["ada"], timeframe="1m", start_date="2000-01-01"))
    mine = {tuple(row[:4]) for row in cells(trader.get("/operations/queue", htmx=True))[1:]}
    assert mine >= {("you", "short", "0", "1"), ("other people", "short", "0", "3"), ("other people", "long", "1", "0")}
    all_ = {tuple(row[:4]) for row in cells(admin.get("/operations/queue", htmx=True))[1:]}
    assert all_ >= {("you", "short", "0", "1"), ("vera", "short", "0", "1"), ("nobody", "short", "0", "1")}
    assert all_ >= {("tom", "short", "0", "1"), ("you", "long", "1", "0")}


def test_who_works_on_what_and_who_fell_silent(engine, users, admin, trader):
    task_id = results.queue(engine, owner_id=users["ada"])
    results.start(engine, task_id)
    live(engine, "m1:7", task_id=task_id)
    live(engine, "m2:8", now=utc_now() - timedelta(minutes=5))
    live(engine, "m1:9", kind="clock")
    page = admin.get("/operations/queue", htmx=True)
    assert page.find("a", href=f"/backtests/{task_id}")
    doing = {row[0].split()[-1]: row[1] for row in cells(page)[1:] if ":" in row[0]}
    assert "62% · simulating" in doing["m1:7"]
    assert (doing["m2:8"], doing["m1:9"]) == ("silent", "starts what is due")
    assert "1 busy" in page.text
    assert not page.find("div", class_="notice notice-error")
    other = trader.get("/operations/queue", htmx=True)
    assert "a backtest of somebody else" in other.text
    assert not other.find("a", href=f"/backtests/{task_id}")


def test_what_a_worker_of_jobs_does_is_said(engine, users, admin):
    live(engine, "m1:5", kind="worker-io")
    live(engine, "m1:6", kind="worker-io")
    with session_scope(engine) as session:
        jobs.create(session, kind="fetch_bars", args={})
        jobs.claim_next(session, worker="m1:5", kinds=("fetch_bars",))
    doing = {
        row[0].split()[-1]: row[1] for row in cells(admin.get("/operations/queue", htmx=True))[1:] if ":" in row[0]
    }
    assert doing == {"m1:5": "fetch bars 0%", "m1:6": "waits for work"}


def test_the_page_says_when_the_clock_is_silent_while_something_waits(engine, users, trader):
    live(engine)
    results.queue(engine, owner_id=users["tom"])
    assert "The clock gives no sign of life" in trader.get("/operations/queue", htmx=True).text


def test_dead_letters_are_listed_with_reason_and_attempts_to_those_who_may_see_them(engine, users, admin, trader, fail):
    mine, other = fail(users["tom"]), fail(users["ada"], "the disk <is> gone")
    page = trader.get("/operations")
    assert "disk_problem the disk is full" in page.text
    assert "3 of 3" in page.text
    assert page.find("a", href=f"/backtests/{mine}")
    assert str(other) not in page.html
    assert "line 17" not in page.html
    assert not page.find("form", hx_post="/operations/dead-letters/discard")
    assert trader.get(f"/operations/dead-letters/{mine}", status=403)
    page = admin.get("/operations")
    assert "the disk <is> gone" in page.text
    assert page.find("a", href=f"/backtests/{mine}")
    assert "line 17 of <b>x</b>" in admin.get(f"/operations/dead-letters/{other}", htmx=True).text


def test_a_trader_retries_their_own_and_no_other(engine, users, trader, fail, broker):
    mine, other = fail(users["tom"]), fail(users["ada"])
    assert trader.post(f"/operations/dead-letters/{other}/retry").status_code == 303
    assert status_of(engine, other) == "failed"
    assert trader.post(f"/operations/dead-letters/{mine}/retry").location == "/operations"
    assert "1 backtest is queued again." in trader.get("/operations").text
    assert (status_of(engine, mine), kinds(engine, mine)[-1]) == ("queued", "retried")
    assert [letter.task_id for letter in list_dead(broker)] == [other]
    assert audited(engine) == [("tom", "dead_letter.retried", str(mine))]
    for address in (f"/operations/dead-letters/{other}/discard", "/operations/dead-letters/discard"):
        assert trader.post(address).status_code == 403


def test_an_admin_retries_and_discards_one_or_all(engine, users, admin, fail, broker):
    made = [fail(users["tom"]) for _ in range(4)]
    assert admin.post(f"/operations/dead-letters/{made[0]}/discard", htmx=True).headers["HX-Redirect"] == "/operations"
    assert (status_of(engine, made[0]), kinds(engine, made[0])[-1]) == ("failed", "discarded")
    assert admin.post("/operations/dead-letters/retry").status_code == 303
    assert "3 backtests are queued again." in admin.get("/operations").text
    assert [status_of(engine, one) for one in made] == ["failed", "queued", "queued", "queued"]
    assert list_dead(broker) == []
    fail(None), fail(users["vera"])
    admin.post("/operations/dead-letters/discard")
    assert "2 dead letters are discarded." in admin.get("/operations").text
    assert list_dead(broker) == []
    assert [action for _, action, _ in audited(engine)].count("dead_letter.discarded") == 3
    admin.post("/operations/dead-letters/retry")
    assert "Nothing to do" in admin.get("/operations").text


def test_the_letter_of_a_backtest_that_is_gone_can_still_be_discarded(engine, users, admin, trader, fail, broker):
    gone = fail(users["tom"])
    with session_scope(engine) as session:
        session.delete(backtests.get(session, gone))
    assert "deleted for good" in admin.get("/operations").text
    assert str(gone) not in trader.get("/operations").html
    admin.post(f"/operations/dead-letters/{gone}/discard")
    assert list_dead(broker) == []


def test_a_queue_server_that_is_away_is_said(engine, users, admin):
    results.queue(engine, owner_id=users["tom"])
    admin.post("/operations/dead-letters/00000000-0000-4000-8000-000000000000/discard")
    page = admin.get("/operations")
    assert "The queue server does not answer. What was changed" in page.text
