"""Every page in Chromium: axe, both themes, both widths, the keyboard, room for fingers, nothing that jumps.

A new page needs one line in PAGES; what answers with something else, one in NOT_PAGES. Both tests use the real thing in
every place: an installation where everything has happened, and one where nothing has.
"""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Page, expect

from storage_core import alerts, backtests, backup
from storage_core.alerts import Problem
from storage_core.db import session_scope, utc_now
from storage_core.models import Schedule
from storage_core.processes import Sign, sign_of_life
from tests.services import running_valkey
from tests.webapp import results
from tests.webapp.conftest import Browser
from tests.webapp.test_data import csv, sent
from workers.dead_letters import bury
from workers.queue import make_broker

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
BACKTEST = "/backtests/<uuid:task_id>"
PAGES = {  # rule -> addresses, with the names of `full` in them
    "/": ["/"],
    "/account": ["/account"],
    "/api/docs": ["/api/docs"],
    "/backtests": ["/backtests", "/backtests?strategy=sma_cross&sort=-sharpe&sharpe_min=x", "/backtests?symbol=NONE"],
    "/backtests/new": ["/backtests/new", "/backtests/new?clone={done}"],
    BACKTEST: ["/backtests/{done}", "/backtests/{done}?edit=note", "/backtests/{failed}", "/backtests/{running}"],
    f"{BACKTEST}/analysis": ["/backtests/{done}/analysis"],
    f"{BACKTEST}/chart": ["/backtests/{done}/chart"],
    f"{BACKTEST}/report.html": ["/backtests/{done}/report.html"],
    f"{BACKTEST}/setup": ["/backtests/{done}/setup"],
    f"{BACKTEST}/trades": ["/backtests/{done}/trades"],
    "/compare": ["/compare?ids={done},{other}", "/compare"],
    "/data": ["/data"],
    "/data/<symbol>/<timeframe>": ["/data/KRW-BTC/1h"],
    "/data/uploads/<uuid:upload_id>": ["{upload}"],
    "/operations": ["/operations"],
    "/operations/alerts": ["/operations/alerts"],
    "/operations/audit": ["/operations/audit"],
    "/operations/backups": ["/operations/backups"],
    "/operations/backups/<backup>": ["/operations/backups/{backup}"],
    "/operations/storage": ["/operations/storage"],
    "/schedules": ["/schedules"],
    "/schedules/<int:schedule_id>": ["/schedules/{schedule}"],
    "/schedules/new": ["/schedules/new?of={done}"],
    "/strategies": ["/strategies"],
    "/users": ["/users"],
    "/login": [],  # for those outside, in the third test
    "/setup": [],
    "/welcome": [],
}
NOT_PAGES = {  # fragments, files and figures
    f"{BACKTEST}/data-changed", f"{BACKTEST}/note", f"{BACKTEST}/row", f"{BACKTEST}/status", f"{BACKTEST}/trades.csv",
    f"{BACKTEST}/verification", "/backtests/export.csv", "/backtests/new/<part>", "/backtests/queue",
    "/charts/<uuid:task_id>/candles.json", "/charts/<uuid:task_id>/equity.json", "/charts/<uuid:task_id>/trade.json",
    "/charts/bars/<symbol>/<timeframe>.json", "/charts/compare.json", "/data/jobs", "/healthz", "/home/state",
    "/home/stored", "/login/again", "/login/again/look", "/metrics", "/operations/alerts/list",
    "/operations/alerts/test/<int:alert_id>",
    "/operations/backups/jobs", "/operations/dead-letters/<uuid:task_id>", "/operations/queue",
    "/operations/storage/cleanups", "/presets/load", "/readyz", "/static/<path:filename>",
    "/strategies/<name>/fields", "/strategies/<name>/source", "/strategies/fields",
}  # fmt: skip
EMPTY = ("/", "/backtests", "/backtests/new", "/compare", "/data", "/operations", "/operations/alerts", "/schedules",
         "/operations/backups", "/operations/storage")  # fmt: skip

STILL = 0.005  # of the layout shift that counts as good, 0.1, next to nothing
WATCH_JUMPS = """
window.jumps = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (entry.hadRecentInput) continue;
    const moved = entry.sources.map(({node}) => node?.outerHTML?.slice(0, 90) ?? String(node?.nodeName));
    window.jumps.push([Math.round(entry.value * 10000) / 10000, ...moved]);
  }
}).observe({type: "layout-shift", buffered: true});
"""
RUN_AXE = """async (options) => {
  const found = await axe.run(document, {resultTypes: ["violations"], ...options});
  return found.violations.flatMap(({id, nodes}) => nodes.map((n)=>[id, n.html.slice(0, 260)]));
}"""
MORE = ("target-size", "label-content-name-mismatch", "td-has-header")  # switched off unless asked for
EVERYTHING = {"rules": {rule: {"enabled": True} for rule in MORE}}
COLOURS = {"runOnly": ["color-contrast"]}
# Everything that can be clicked takes the focus with Tab, and shows that it has it. Closed menus are opened for this.
FOCUS = """() => {
  for (const menu of document.querySelectorAll("details")) menu.open = true;
  const look = (element) => {
    const styles = [element, element.closest("label")].filter(Boolean).map((one) => getComputedStyle(one));
    return styles.map((s) => [s.outline, s.boxShadow, s.borderColor, s.top].join()).join();
  };
  const wrong = [];
  const kinds = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex], [role=switch]";
  for (const element of document.querySelectorAll(kinds)) {
    if (element.matches(":disabled, main, h1, h2, h3, .notice") || !element.checkVisibility()) continue;
    if (element.tabIndex < 0) { wrong.push(["not reached by Tab", element.outerHTML.slice(0, 200)]); continue; }
    document.activeElement.blur();
    const before = look(element);
    element.focus({preventScroll: true});
    if (document.activeElement !== element) continue;  // of a group of radio buttons, or gone
    if (look(element) === before) wrong.push(["focus not seen", element.outerHTML.slice(0, 200)]);
  }
  return wrong;
}"""


def test_no_page_is_forgotten(app):
    rules = {one.rule for one in app.url_map.iter_rules() if "GET" in one.methods and "/api/v1" not in one.rule}
    assert rules == set(PAGES) | NOT_PAGES


@pytest.fixture(scope="module")
def valkey_url():
    with running_valkey() as url:
        yield url


@pytest.fixture
def settings(settings, valkey_url):
    """With a queue server, so that the page of the queue has something to say."""
    return replace(settings, redis_url=valkey_url, alert_urls=("json://hook.example/path", "slack://a/b/c"))


@pytest.fixture
def full(app, engine, settings, users, completed, bars) -> dict[str, object]:
    """An installation in which everything has happened; what the addresses name."""
    ada = users["ada"]
    done = completed(count=3_000, trades=80, symbols=["KRW-BTC", "KRW-ETH"]).rpartition("/")[2]
    other = completed(strategy="rsi_reversion", params={}).rpartition("/")[2]
    failed, running = results.queue(engine, owner_id=ada), results.queue(engine, owner_id=ada)
    claim = results.start(engine, failed)
    problem = Problem("A long sentence about something that is wrong with /a/rather/long/path/of/a/folder: no")
    with session_scope(engine) as session:
        backtests.fail(session, claim, code="disk_problem", message="no space left on the device")
        for number, kind in enumerate(("disk", "worker", "backtest")):
            alerts.raise_(session, f"{kind}:{number}", kind=kind, problem=problem)
        alerts.resolve(session, "worker:1")
        for number, kind in enumerate(("worker", "clock")):
            sign_of_life(session, Sign(name=f"m{number}:7", kind=kind, pid=7, started_at=utc_now(), version="abc"))
        schedule = Schedule(
            owner_id=ada, name="Nightly", spec=results.spec(), every="day", next_run_at=utc_now() + timedelta(hours=3)
        )
        session.add(schedule)
        session.flush()
        schedule_id = schedule.id
    results.start(engine, running)
    broker = make_broker(settings.broker_url)
    bury(broker, failed, code="disk_problem", reason="no space", traceback="line 17", attempt=3, worker="m1:7")
    broker.close()
    upload = sent(Browser(app).log_in(ada), csv(count=30))
    made = {"done": done, "other": other, "failed": failed, "running": running, "upload": upload}
    return {**made, "schedule": schedule_id, "backup": backup.create(engine, settings).id}


def test_every_page_of_an_installation_in_use(page: Page, full):
    wrong = []
    page.add_init_script(WATCH_JUMPS)
    for address in (one.format(**full) for several in PAGES.values() for one in several):
        wrong += look_at(page, address)
    assert not wrong, "\n".join(map(str, wrong))


def test_every_page_of_an_installation_where_nothing_has_happened(page: Page):
    wrong = []
    page.add_init_script(WATCH_JUMPS)
    for address in EMPTY:
        wrong += look_at(page, address)
    assert not wrong, "\n".join(map(str, wrong))


def test_a_dead_letter_is_retried(page: Page, full):
    page.goto("/operations")
    page.get_by_role("button", name=re.compile("^Retry sma_cross")).click()
    expect(page.get_by_text("1 backtest is queued again.")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Retry sma_cross"))).to_have_count(0)


def test_nothing_jumps_when_fragments_are_replaced(page: Page, full):
    page.add_init_script(WATCH_JUMPS)
    watched = {"/operations": "/operations/queue", "/backtests": "/row", "/backtests/{running}": "/status"}
    for address, fragment in watched.items():
        page.goto(address.format(**full))
        for _ in range(2):
            with page.expect_response(lambda answer, part=fragment: part in answer.url):
                page.evaluate("0")  # it polls by itself
        jumps = page.evaluate("window.jumps")
        assert sum(one[0] for one in jumps) < STILL, (address, jumps)


def look_at(page: Page, address: str) -> list[object]:
    """What is wrong with it, wide and narrow, light and dark; colours depend on the theme alone."""
    page.set_viewport_size({"width": 1440, "height": 900})
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    page.goto(address)
    if page.locator("[data-chart]").count():
        expect(page.locator("[data-drawn] canvas").first).to_be_visible()
    page.evaluate(AXE)
    jumps = page.evaluate("window.jumps")
    wrong = page.evaluate(RUN_AXE, EVERYTHING) + (jumps if sum(one[0] for one in jumps) > STILL else [])
    for width, theme, rules in ((1440, "dark", COLOURS), (390, "light", EVERYTHING)):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        wrong += [(width, theme, *one) for one in page.evaluate(RUN_AXE, rules)]
        wide = page.evaluate("document.documentElement.scrollWidth")
        wrong += [(f"{wide} pixels wide",)] if wide > width else []
    page.keyboard.press("Tab")
    wrong += page.evaluate(FOCUS)
    return [(address, *one) for one in wrong]
