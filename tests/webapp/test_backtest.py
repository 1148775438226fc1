"""The page of one backtest: alive, ended, read."""

from datetime import timedelta
from uuid import UUID

import pytest

from storage_core import backtests
from storage_core.bar_table import fingerprint
from storage_core.db import session_scope, utc_now
from storage_core.models import Backtest
from storage_core.processes import Sign, sign_of_life
from tests.webapp import results
from tests.webapp.page import Page

DIGEST = fingerprint(results.bars(500, seed=0))


def test_it_polls_quickly_at_first_and_stops_with_the_result(admin, engine, settings, users):
    task_id = results.queue(engine, owner_id=users["ada"])
    address = f"/backtests/{task_id}"
    status = admin.get(address).by_id("backtest-status")
    assert status.get("hx-get") == f"{address}/status"
    assert status.get("hx-trigger") == "load delay:30ms"
    assert status.get("hx-target") == "this"
    results.start(engine, task_id)
    running = admin.get(f"{address}/status", htmx=True)
    assert "62% · simulating" in running.text
    assert running.find("progress")[0].get("value") == "0.62"
    assert "Started attempt 1 of 3 · by tester-1" in running.text
    with session_scope(engine) as session:
        row = session.get(Backtest, task_id)
        row.created_at = row.created_at.replace(year=2020)
    assert admin.get(f"{address}/status", htmx=True).by_id("backtest-status").get("hx-trigger") == "load delay:1s"


def test_the_end_takes_the_place_of_the_whole_content(admin, completed):
    address = completed()
    answer = admin.client.get(f"{address}/status", headers={"HX-Request": "true"})
    assert (answer.headers["HX-Retarget"], answer.headers["HX-Reswap"]) == ("#backtest", "outerHTML")
    page = admin.get(f"{address}/status", htmx=True)
    assert page.root[0].get("id") == "backtest"
    assert not [element for element in page.elements if element.get("hx-trigger", "load") != "load"]
    assert "+41.87%" in page.text


def test_the_cancel_button_stands_outside_of_what_is_replaced(admin, engine, users):
    page = admin.get(f"/backtests/{results.queue(engine, owner_id=users['ada'])}")
    status = page.by_id("backtest-status")
    assert page.find("button", type="submit")
    assert not [element for element in status.iter() if element.tag in ("button", "a", "form")]


def test_one_that_waits_says_when_there_is_nobody_to_run_it(admin, engine, users):
    task_id = results.queue(engine, owner_id=users["ada"])
    assert "no worker" not in admin.get(f"/backtests/{task_id}").text
    with session_scope(engine) as session:
        session.get(Backtest, task_id).created_at = utc_now() - timedelta(minutes=2)
    assert "no worker has been heard of" in admin.get(f"/backtests/{task_id}").text
    with session_scope(engine) as session:
        sign_of_life(session, Sign(name="m1:7", kind="worker", pid=7, started_at=utc_now(), version="abc"))
    assert "starts as soon as a worker is free" in admin.get(f"/backtests/{task_id}/status", htmx=True).text


def test_cancel_a_queued_and_a_running_one(admin, engine, users):
    queued, running = (results.queue(engine, owner_id=users["ada"]) for _ in range(2))
    claim = results.start(engine, running)
    assert admin.post(f"/backtests/{queued}/cancel").location == f"/backtests/{queued}"
    page = admin.get(f"/backtests/{queued}")
    assert "Nothing was stored" in page.text
    assert page.find("a", href=f"/backtests/new?clone={queued}")
    admin.post(f"/backtests/{running}/cancel")
    page = admin.get(f"/backtests/{running}")
    assert "stopping" in page.text
    assert page.find("button", disabled="")
    with session_scope(engine) as session:
        assert backtests.heartbeat(session, claim) == "cancel"
        backtests.mark_cancelled(session, claim)
    assert "Cancelled" in admin.get(f"/backtests/{running}").text


def test_cancel_needs_no_other_page(admin, engine, users):
    running = results.queue(engine, owner_id=users["ada"])
    results.start(engine, running)
    answer = admin.post(f"/backtests/{running}/cancel", htmx=True)
    html = answer.get_data(as_text=True)
    assert (answer.status_code, answer.headers["HX-Trigger"]) == (200, "queue-moved")
    assert html.startswith('<div id="backtest">')
    assert "Stopping" in html
    assert f"/backtests/{running}/status" in html


def test_cancel_comes_too_late(admin, completed):
    address = completed()
    answer = admin.post(f"{address}/cancel")
    assert answer.location == address
    assert "already completed when you asked" in admin.get(address).text


def test_a_failure_says_what_and_what_now(admin, engine, users):
    task_id = results.queue(engine, owner_id=users["ada"])
    claim = results.start(engine, task_id)
    with session_scope(engine) as session:
        backtests.release(session, claim, reason="disk_problem: the disk is full")
    claim = results.start(engine, task_id)
    with session_scope(engine) as session:
        backtests.fail(session, claim, code="no_bars", message="no bars for <b>KRW-DOGE</b> 1m")
    page = admin.get(f"/backtests/{task_id}")
    assert "No bars for <b>KRW-DOGE</b> 1m." in page.text
    assert not page.find("b")
    assert "Code: no_bars" in page.text
    assert "Choose symbols and dates that are stored" in page.text
    log = " ".join("".join(item.itertext()) for item in page.find("li"))
    for words in ("Submitted", "attempt 1", "Given back", "the disk is full", "attempt 2", "Failed"):
        assert words in log
    for tab in ("chart", "trades", "setup"):
        assert admin.client.get(f"/backtests/{task_id}/{tab}").location == f"/backtests/{task_id}"


def test_overview(admin, completed):
    page = admin.get(completed())
    strip = [" ".join("".join(cell.itertext()).split()) for cell in page.find("dl", class_="strip")[0]]
    assert strip == [
        "Total return▴+41.87%buy and hold +79.71%",
        "Final equity14.19MKRW from 10.00M",
        "Sharpe ratio1.58365 days a year",
        "Sortino ratio2.40365 days a year",
        "Max drawdown14.55%longest 81 days",
        "Win rate35.4%60 trades",
        "Profit factor1.48payoff 2.71",
        "Time in market37.8%costs 1.20M",
    ]
    for words in ("No lookahead", "24 prefixes recomputed", "0 ambiguous bars of 500", "4 bars missing in the data",
                  "largest gap 2 h, 12 Jan 2024", "Reproducible", f"data {DIGEST[:8]}… · engine 1.0", "0.1% a side",
                  "all in", "Breaks even at", "Monthly returns", "All 60"):  # fmt: skip
        assert words in page.text, words
    chart = page.by_id("equity-chart")
    assert chart.get("data-src").startswith("/charts/")
    assert page.find("a", class_="tab", aria_current="page")[0].get("id") == "tab-overview"
    trades = page.find("table")[-1]
    assert len(list(trades.iter("tr"))) == 9


def test_what_is_not_known_is_a_dash_with_a_reason(admin, completed, engine):
    address = completed(trades=1)
    with session_scope(engine) as session:
        row = session.get(Backtest, results.uuid.UUID(address.rpartition("/")[2]))
        row.total_return_pct = row.sharpe = row.profit_factor = row.max_drawdown_pct = None
        row.metadata_ = {"bars": 500}
    page = admin.get(address)
    strip = page.find("dl", class_="strip")[0]
    assert len([element for element in strip.iter("abbr") if "not defined" in element.get("title")]) == 5
    for words in ("Lookahead not checked", "Data gaps not counted", "Origin not recorded"):
        assert words in page.text
    assert all(dash.get("title") for dash in page.find("abbr", class_="missing"))
    assert admin.get("/backtests").find("abbr", class_="missing")
    admin.get(f"{address}/setup")


def test_bad_news_is_not_hidden(admin, completed, engine):
    address = completed()
    with session_scope(engine) as session:
        row = session.get(Backtest, results.uuid.UUID(address.rpartition("/")[2]))
        row.metadata_ = {
            **row.metadata_,
            "lookahead": {"ok": False, "prefixes": 24, "first_bar": 1234},
            "ambiguous": {"bars": 7, "best_return_pct": 50.0, "worst_return_pct": -3.5},
            "unfilled_orders": 2,
        }
    text = admin.get(address).text
    for words in ("Problem: Looks into the future", "first at bar 1,234", "7 bars hold both stop and target",
                  "return -3.50% to +50.00%", "2 orders could not fill"):  # fmt: skip
        assert words in text, words


def test_no_trades_is_an_answer_too(admin, completed):
    address = completed(trades=0)
    assert "No trades" in admin.get(address).text
    assert "no closed trade" in admin.get(address).text
    assert "No trades" in admin.get(f"{address}/trades").text


@pytest.mark.parametrize("tab", ["", "/chart", "/trades", "/analysis", "/setup"])
def test_a_tab_is_a_page_and_a_fragment(admin, completed, tab):
    address = completed()
    page = admin.get(address + tab)
    assert page.whole
    fragment = admin.get(address + tab, htmx=True)
    assert fragment.root[0].get("id") == "tabs"
    assert [one.get("href") for one in fragment.find("a", aria_current="page") if one.get("class") == "tab"] == [
        address + tab
    ]
    answer = admin.client.get(address + tab)
    assert "HX-Request" in answer.headers["Vary"]
    restored = admin.client.get(address + tab, headers={"HX-Request": "true", "HX-History-Restore-Request": "true"})
    assert restored.get_data(as_text=True).startswith("<!doctype html>")


def test_every_trade_by_pages(admin, completed):
    address = completed(trades=120)
    seen = []
    for number, expected in ((1, 50), (2, 50), (3, 20)):
        page = admin.get(f"{address}/trades?page={number}")
        lines = list(page.find("tbody")[0])
        assert len(lines) == expected
        assert f"Page {number} of 3" in page.text
        seen += [int("".join(line[0].itertext())) for line in lines]
    assert seen == list(range(120, 0, -1))
    assert "Page 3 of 3" in admin.get(f"{address}/trades?page=99").text
    assert "Page 1 of 3" in admin.get(f"{address}/trades?page=-4").text
    assert "Page 1 of 3" in admin.get(f"{address}/trades?page=x").text


def test_a_trade_leads_to_its_place_in_the_chart(admin, completed):
    address = completed(symbols=["KRW-BTC", "KRW-ETH"], trades=3)
    first = admin.get(f"{address}/trades").find("tbody")[0][-1]
    link = next(first.iter("a")).get("href")
    page = admin.get(link)
    chart = page.by_id("candles-chart")
    assert chart.get("data-at") == "1704099600"
    assert chart.get("data-until") == str(1704099600 + 3 * 3600)
    assert "symbol=KRW-" in chart.get("data-src")
    assert admin.get(f"{address}/chart?symbol=EVIL&at=x").by_id("candles-chart").get("data-at") is None


def test_setup_holds_everything(admin, completed):
    page = admin.get(f"{completed()}/setup")
    for words in ("Fast average (bars) 24", "Initial cash 10,000,000", "Fee 0.1%", "Orders fill at The next bar's open",
                  "python 3.11.9", DIGEST, "Sharpe ratio 1.58", "Calmar ratio –", "Total return +41.87%",
                  "Final equity 14,187,300 KRW", "Win rate 35.38%",
                  "Max drawdown from 2024-01-01 09:00", "Submitted"):  # fmt: skip
        assert words in page.text.replace("  ", " "), words


HOSTILE = "\"><script>alert(1)</script>'{{ 7*7 }}"


def test_hostile_strings_are_shown_as_they_are(admin, engine, settings, users, completed):
    address = completed()
    with session_scope(engine) as session:
        row = session.get(Backtest, results.uuid.UUID(address.rpartition("/")[2]))
        row.note, row.strategy, row.params = HOSTILE, HOSTILE, {HOSTILE: HOSTILE}
    failed = results.queue(engine, owner_id=users["ada"])
    claim = results.start(engine, failed)
    with session_scope(engine) as session:
        backtests.fail(session, claim, code=HOSTILE, message=HOSTILE)
    for target in (address, f"{address}/setup", "/backtests", "/", f"/backtests/{failed}"):
        html = admin.client.get(target).get_data(as_text=True)
        assert "<script>alert" not in html
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
        scripts = Page(html).find("script")
        assert all(script.get("src", "").startswith("/static/") for script in scripts)
    for target in ("/login?next=", "/backtests/", "/strategies/", "/backtests?after="):
        assert "<script>alert" not in admin.client.get(target + HOSTILE).get_data(as_text=True)


def test_bars_for_a_part_of_the_period_are_pointed_out(admin, engine, completed):
    address = completed()
    assert "bars for a part of the period" not in admin.get(address).text
    with session_scope(engine) as session:
        row = session.get(Backtest, UUID(address.rpartition("/")[2]))
        late = f"{row.end_date - timedelta(days=2)}T00:00:00+00:00"
        row.metadata_ = {**row.metadata_, "data": {"KRW-ETH": {"rows": 9, "first": late, "last": late, "sha256": "0"}}}
    assert "KRW-ETH: bars for a part of the period" in admin.get(address).text
