"""The list of backtests and its rows."""

from datetime import timedelta

import pytest

from storage_core import backtests
from storage_core.db import session_scope, utc_now
from tests.webapp import results


def rows(page) -> list:
    return [element for element in page.find("tr") if (element.get("id") or "").startswith("backtest-")]


def test_an_empty_list_says_what_to_do(trader):
    page = trader.get("/backtests")
    assert "No backtests yet" in page.text
    assert page.find("a", href="/backtests/new")


def test_a_finished_row_shows_its_figures(admin, completed):
    completed(params={"fast": 10, "slow": 30})
    completed()
    page = admin.get("/backtests")
    newest, older = (" ".join(" ".join(row.itertext()).split()) for row in rows(page))
    assert newest == "completed: sma_cross KRW-BTC · 1h KRW-BTC 1h 24, 96 ▴ +41.87% 1.58 14.6% 60 now"
    assert older == newest.replace("24, 96", "defaults")
    assert len(page.find("{http://www.w3.org/2000/svg}polyline")) == 2
    assert not [element for element in page.elements if "every" in element.get("hx-trigger", "")]


def test_pages_go_back_and_forth_by_key(admin, engine, users):
    now = utc_now()
    with session_scope(engine) as session:
        for age in range(60):
            backtests.create(
                session, spec=results.spec(), owner_id=users["ada"], source="web", now=now - timedelta(minutes=age)
            )
    seen, address = [], "/backtests"
    for expected in (25, 25, 10):
        page = admin.get(address)
        ids = [row.get("id") for row in rows(page)]
        assert len(ids) == expected
        seen += ids
        links = {
            "".join(link.itertext()): link.get("href")
            for link in page.find("a")
            if link.get("class") == "btn btn-quiet"
        }
        address = links["Older"]
    assert address is None
    assert len(set(seen)) == 60
    assert [row.get("id") for row in rows(admin.get(links["Newer"]))] == seen[25:50]
    assert len(rows(admin.get("/backtests?size=100"))) == 60
    assert len(rows(admin.get("/backtests?size=7"))) == 25


@pytest.mark.parametrize("cursor", ["nonsense", "AAAA", "W10", "é" * 50])
def test_a_bad_cursor_is_said_to_be_bad(admin, cursor):
    assert "not valid" in admin.get("/backtests", query_string={"after": cursor}, status=400).text


def test_a_running_row_updates_alone_and_stops(admin, engine, settings, users):
    task_id = results.queue(engine, owner_id=users["ada"])
    cell = admin.get("/backtests").by_id(f"progress-{task_id}")
    assert (cell.get("hx-get"), cell.get("hx-trigger")) == (f"/backtests/{task_id}/row", "every 2s")
    assert "waiting for a worker" in "".join(cell.itertext())
    claim = results.start(engine, task_id)
    fragment = admin.get(f"/backtests/{task_id}/row", htmx=True)
    assert "62% · simulating" in fragment.text
    assert fragment.by_id(f"progress-{task_id}").get("hx-trigger") == "every 1s"
    with session_scope(engine) as session:
        backtests.fail(session, claim, code="no_bars", message="no bars for KRW-DOGE 1m")
    answer = admin.client.get(f"/backtests/{task_id}/row", headers={"HX-Request": "true"})
    assert answer.headers["HX-Retarget"] == f"#backtest-{task_id}"
    assert answer.headers["HX-Trigger"] == "queue-moved"
    ended = admin.get(f"/backtests/{task_id}/row", htmx=True)
    assert "failed: no bars for KRW-DOGE 1m" in ended.text
    assert ended.find("a", href=f"/backtests/new?clone={task_id}")
    assert not [element for element in ended.elements if "hx-trigger" in element.attrib]


def test_the_header_counts_and_stops_counting(admin, engine, users):
    assert admin.get("/").by_id("queue-counts").get("hx-trigger") == "queue-moved from:body"
    assert "HX-Trigger" not in admin.client.get("/home/state").headers
    task_id = results.queue(engine, owner_id=users["ada"])
    results.start(engine, results.queue(engine, owner_id=users["ada"]))
    counts = admin.get("/").by_id("queue-counts")
    assert "1 running · 1 queued" in "".join(counts.itertext())
    assert (counts.get("hx-get"), counts.get("hx-trigger")) == ("/backtests/queue", "every 2s, queue-moved from:body")
    assert admin.client.get("/home/state").headers["HX-Trigger"] == "queue-moved"
    assert "1 queued" in admin.get("/backtests/queue", htmx=True).text
    assert admin.post(f"/backtests/{task_id}/cancel").status_code == 303
    assert "0 queued" in admin.get("/backtests/queue").text


def test_home_greets_every_first_visitor_with_the_sample(admin, viewer, engine, settings):
    assert not viewer.get("/").find("a", class_="btn btn-quiet")
    sample = results.complete(engine, settings, owner_id=None, source="sample")
    for browser, name in ((admin, "ada"), (viewer, "vera")):
        page = browser.get("/")
        assert f"Welcome, {name}" in page.text
        assert page.find("a", href=f"/backtests/{sample}", class_="btn btn-quiet")
        assert "Completed" in browser.get(f"/backtests/{sample}").text


def test_home_is_calm_for_those_who_know_it(admin, completed):
    address = completed()
    page = admin.get("/")
    assert "Welcome" not in page.text
    assert page.find("a", href=address)
