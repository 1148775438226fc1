"""The start page: what runs, what was best, who works, how much is stored, when it was backed up."""

from datetime import UTC, datetime, timedelta

import pytest

from storage_core import backtests, jobs, processes
from storage_core.db import session_scope, utc_now
from storage_core.models import Backtest
from tests.webapp import results


def text_of(page, id_):
    return " ".join("".join(page.by_id(id_).itertext()).split())


def done(engine, owner_id, *, sharpe, trades=20, age=timedelta(0), strategy="sma_cross", source="web"):
    with session_scope(engine) as session:
        spec = results.spec(strategy=strategy, params={})
        row = backtests.create(session, spec=spec, owner_id=owner_id, source=source, now=utc_now() - age)
        row.status, row.progress, row.sharpe, row.trade_count = "completed", 1.0, sharpe, trades
        row.total_return_pct = 1.0
        return row.task_id


def test_the_best_of_the_week_traded_and_is_of_this_week(admin, engine, users):
    ada = users["ada"]
    good, better = done(engine, ada, sharpe=1.0), done(engine, ada, sharpe=2.0, strategy="rsi_reversion")
    done(engine, ada, sharpe=9.0, trades=4)
    done(engine, ada, sharpe=9.0, source="verify")
    done(engine, ada, sharpe=8.0, age=timedelta(days=8))
    done(engine, ada, sharpe=None)
    page = admin.get("/")
    (best,) = page.find("ol", class_="best")
    assert [link.get("href") for link in best.iter("a")] == [f"/backtests/{better}", f"/backtests/{good}"]
    (more,) = [link.get("href") for link in page.find("a") if "By Sharpe ratio" in "".join(link.itertext())]
    listed = admin.get(more)
    ids = [row.get("id") for row in listed.find("tr") if row.get("id")]
    assert ids[1:3] == [f"backtest-{better}", f"backtest-{good}"]


def test_what_runs_stands_first_and_is_live(admin, engine, users):
    running = results.queue(engine, owner_id=users["ada"])
    results.start(engine, running)
    for _ in range(12):
        done(engine, users["ada"], sharpe=0.5)
    page = admin.get("/")
    first = [row.get("id") for row in page.find("tr") if row.get("id")]
    assert first[0] == f"backtest-{running}"
    assert len(first) == 10
    assert page.by_id(f"progress-{running}").get("hx-get") == f"/backtests/{running}/row?plain=1"
    assert not page.find("input", type="checkbox")


def test_workers_are_named_with_their_last_sign(admin, viewer, engine, users):
    assert "No worker has said anything yet" in text_of(admin.get("/"), "state")
    results.queue(engine, owner_id=users["ada"])
    assert "no worker has been heard of" in text_of(admin.get("/home/state", htmx=True), "state")
    now = datetime.now(UTC)
    with session_scope(engine) as session:
        for kind, busy in (("worker", True), ("clock", False)):
            sign = processes.Sign(
                name=f"box:{kind}", kind=kind, pid=1, started_at=now, task_id=results.uuid.uuid4() if busy else None
            )
            processes.sign_of_life(session, sign, now=now)
    fragment = admin.get("/home/state", htmx=True)
    assert fragment.by_id("state").get("hx-trigger") == "every 5s"
    said = text_of(fragment, "state")
    assert "Queued1" in said
    assert "busy" in said
    assert "ready" in said
    assert "no worker" not in said
    assert not viewer.get("/").find("a", href="/operations")


def test_storage_is_counted_after_the_page(admin, engine, settings, users):
    results.complete(engine, settings, owner_id=users["ada"])
    later = admin.get("/").by_id("stored")
    assert (later.get("hx-get"), later.get("hx-trigger")) == ("/home/stored", "load")
    said = text_of(admin.get("/home/stored", htmx=True), "stored")
    assert said.startswith("Backtests1 Results")
    assert "in 1 series" in said
    assert said.endswith("Last backupnever")


@pytest.mark.parametrize(
    ("ends", "says"), [(("completed",), "now"), (("failed",), "failed now"), (("completed", "failed"), "failed now")]
)
def test_the_last_backup_is_said(admin, engine, ends, says):
    for age, status in enumerate(reversed(ends)):
        with session_scope(engine) as session:
            job = jobs.create(session, kind="backup", args={})
            job.status, job.finished_at = status, utc_now()
            job.created_at = utc_now() - timedelta(seconds=age)
    assert text_of(admin.get("/home/stored", htmx=True), "stored").endswith(f"Last backup{says}")


def test_a_backup_that_runs_is_said(admin, engine):
    with session_scope(engine) as session:
        jobs.create(session, kind="backup", args={})
    assert "being taken now" in text_of(admin.get("/home/stored", htmx=True), "stored")


def test_what_others_share_is_there_and_still_a_first_visit(trader, engine, users):
    shared = done(engine, users["ada"], sharpe=1.0)
    with session_scope(engine) as session:
        session.get(Backtest, shared).shared = True
    page = trader.get("/")
    assert page.by_id(f"backtest-{shared}") is not None
    assert "Welcome, tom" in page.text
    assert not page.find("ol", class_="best")
