"""A session that ends while a page is open: somebody logs in on top of it, and nothing is lost."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from storage_core.accounts import end_sessions
from storage_core.db import session_scope
from storage_core.models import User
from tests.webapp import results
from tests.webapp.conftest import PASSWORD


@contextmanager
def inside(browser: Browser, address: str, **more: object) -> Iterator[Page]:
    """ada, logged in; the answers that refuse her stand in the console of the browser, so nobody looks there."""
    context = browser.new_context(base_url=address, viewport={"width": 1440, "height": 900}, **more)
    page = context.new_page()
    page.goto("/login")
    log_in(page, "Name")
    page.wait_for_url(f"{address}/")
    yield page
    context.close()


@pytest.fixture
def page(browser, address, users) -> Iterator[Page]:
    with inside(browser, address) as page:
        yield page


@pytest.fixture
def over(engine, users) -> Callable[[], None]:
    """Ends the sessions of ada."""

    def end() -> None:
        with session_scope(engine) as session:
            end_sessions(session, session.get_one(User, users["ada"]))

    return end


def log_in(page: Page, label: str, *, name: str = "ada", password: str = PASSWORD) -> None:
    page.get_by_label(label, exact=True).fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Log in", exact=True).last.click()


def test_a_new_backtest_survives_the_end_of_its_session(page, bars):
    page.goto("/backtests/new")
    page.get_by_label("Only the last bars").fill("44")
    page.wait_for_load_state("networkidle")
    page.context.clear_cookies()
    page.get_by_role("button", name="Run backtest").click()
    dialog = page.get_by_role("dialog", name="Log in")
    expect(dialog).to_contain_text("nothing on this page is lost")
    expect(dialog.get_by_label("Name")).to_have_value("ada")
    expect(dialog.get_by_label("Password")).to_be_focused()
    dialog.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("The name or the password is wrong.")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_label("Only the last bars")).to_have_value("44")
    page.locator("#connection").get_by_role("button", name="Log in").click()
    dialog.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.locator("#connection")).to_be_empty()
    page.get_by_role("button", name="Run backtest").click()
    expect(page).to_have_url(re.compile(r"/backtests/[0-9a-f-]{36}$"))


def test_what_was_pressed_is_done_after_the_log_in(page, over, completed):
    page.goto(completed())
    page.locator("#note-edit").click()
    page.locator("#note-note").fill("only the trend")
    over()
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("dialog").get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#note .note-text")).to_have_text("only the trend")
    page.get_by_role("button", name="Pin", exact=True).click()
    expect(page.get_by_role("button", name="Unpin")).to_be_visible()


def test_the_log_in_stays_away_when_something_else_settles_meanwhile(page, over, completed):
    page.goto(completed())
    over()
    page.get_by_role("button", name="Pin", exact=True).click()
    page.evaluate("""() => document.addEventListener("session-back", () => document.getElementById("queue-counts")
        .dispatchEvent(new Event("htmx:afterSettle", { bubbles: true })))""")
    dialog = page.locator("#login-again")
    dialog.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Unpin")).to_be_visible()
    expect(dialog).to_be_hidden()


def test_another_tab_has_logged_out_and_in(page, completed):
    page.goto(completed())
    page.locator("#note-edit").click()
    page.locator("#note-note").fill("written before")
    other = page.context.new_page()
    other.goto("/account")
    other.locator("details.menu > summary").last.click()
    other.get_by_role("button", name="Log out").click()
    log_in(other, "Name")
    expect(other.get_by_role("heading", level=1)).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#note .note-text")).to_have_text("written before")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_a_page_that_follows_a_run_says_it_quietly_and_goes_on(page, engine, users):
    page.goto(f"/backtests/{results.queue(engine, owner_id=users['ada'])}")
    page.evaluate("window.stayed = true")
    kept = page.context.cookies()
    page.context.clear_cookies()
    expect(page.locator("#connection")).to_contain_text("You have been logged out.")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#toasts")).to_be_empty()
    page.context.add_cookies(kept)
    expect(page.locator("#connection")).to_be_empty()
    assert page.evaluate("window.stayed")


def test_somebody_else_gets_a_page_of_their_own(page, completed):
    page.goto(completed())
    page.context.clear_cookies()
    page.get_by_role("button", name="Pin", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("tom")
    dialog.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()


def test_a_form_without_htmx_is_sent_after_the_log_in(browser, address, users, completed):
    with inside(browser, address, java_script_enabled=False) as page:
        page.goto(f"{completed()}?edit=note")
        page.locator("#note-note").fill("without a script")
        page.context.clear_cookies()
        page.get_by_role("button", name="Save", exact=True).click()
        log_in(page, "Name")
        expect(page.get_by_role("heading", name="Not sent yet")).to_be_visible()
        page.get_by_role("button", name="Send it now").click()
        expect(page.locator("#note .note-text")).to_have_text("without a script")


def test_a_page_that_follows_a_run_waits_for_the_server_behind_a_proxy(page, engine, users):
    page.goto(f"/backtests/{results.queue(engine, owner_id=users['ada'])}")
    page.evaluate("window.stayed = true")
    page.route(re.compile("/status$|/queue$|/healthz$"), lambda route: route.fulfill(status=502, body="Bad Gateway"))
    expect(page.locator("#connection")).to_contain_text("goes on by itself once it is back")
    expect(page.locator("#toasts")).to_be_empty()
    page.unroute_all()
    with page.expect_response(re.compile("/status$")):
        expect(page.locator("#connection")).to_be_empty()
    assert page.evaluate("window.stayed")


@pytest.mark.parametrize("chart", ["equity", "compare"])
def test_a_chart_that_was_refused_is_drawn_after_the_log_in(page, over, completed, chart):
    one = completed()
    address = one if chart == "equity" else f"/compare?ids={one.rpartition('/')[2]},{completed().rpartition('/')[2]}"
    page.route(re.compile(r"/charts/.*(equity|compare)\.json"), lambda route: (over(), route.continue_()), times=1)
    page.goto(address)
    expect(page.get_by_text("The chart is drawn after the log-in.")).to_be_visible()
    page.locator("#connection").get_by_role("button", name="Log in").click()
    page.get_by_role("dialog").get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator(f"#{chart}-chart[data-drawn] canvas").first).to_be_visible()
    expect(page.locator("#connection")).to_be_empty()


def test_a_button_of_a_chart_does_its_work_after_the_log_in(page, over, completed):
    page.goto(f"{completed()}/chart")
    expect(page.locator("#candles-chart[data-drawn] canvas").first).to_be_visible()
    over()
    page.get_by_role("button", name="Next trade (n)").click()
    page.get_by_role("dialog").get_by_label("Password").fill(PASSWORD)
    with page.expect_response(lambda answer: "candles.json" in answer.url and answer.ok):
        page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()


@pytest.fixture
def rested(page, bars, over) -> Page:
    """A page with something typed into it, to which somebody comes back after the session has ended."""
    page.clock.install()
    page.goto("/backtests/new")
    page.get_by_label("Only the last bars").fill("44")
    page.wait_for_load_state("networkidle")
    over()
    page.clock.fast_forward(3_000)
    come_back(page)
    expect(page.locator("#connection")).to_contain_text("You have been logged out.")
    return page


def come_back(page: Page) -> None:
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_a_page_at_rest_says_that_the_session_has_ended_and_sees_the_log_in_of_another_tab(rested):
    expect(rested.get_by_role("dialog")).to_be_hidden()
    other = rested.context.new_page()
    other.goto("/login")
    log_in(other, "Name")
    expect(other.get_by_role("button", name="Log in")).to_have_count(0)
    rested.clock.fast_forward(3_000)
    expect(rested.locator("#connection")).to_be_empty()
    expect(rested.get_by_label("Only the last bars")).to_have_value("44")
    rested.get_by_role("button", name="Run backtest").click()
    expect(rested).to_have_url(re.compile(r"/backtests/[0-9a-f-]{36}$"))


def test_a_page_at_rest_is_not_taken_away_when_somebody_else_has_logged_in(rested):
    other = rested.context.new_page()
    other.goto("/login")
    log_in(other, "Name", name="tom")
    expect(other.get_by_role("button", name="Log in")).to_have_count(0)
    rested.clock.fast_forward(3_000)
    expect(rested.locator("#connection")).to_contain_text("Another account is logged in now.")
    expect(rested.get_by_label("Only the last bars")).to_have_value("44")
    rested.locator("#connection").get_by_role("button", name="Reload").click()
    expect(rested.locator("#login-again")).to_have_attribute("data-name", "tom")


def test_nothing_asks_by_itself_while_it_would_be_refused(page, over):
    page.clock.install()
    page.goto("/")
    over()
    page.clock.run_for(6_000)
    expect(page.locator("#connection")).to_contain_text("You have been logged out.")
    asked: list[str] = []
    answered: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page.on("requestfinished", lambda request: answered.append(request.url))
    for _ in range(12):  # the clock of the page is not that of the server, which may be slow
        page.clock.run_for(10_000)
        while len(answered) < len(asked):
            page.wait_for_event("requestfinished")
    assert 2 <= len(asked) <= 6, asked
    assert set(asked) == {"/login/again/look"}
