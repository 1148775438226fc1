"""What a person meets when something is wrong: the server away, no session, another tab, a deleted backtest."""

import re
import signal
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect

from tests.htmx_page import fill_in
from tests.product import Product
from tests.screenshots import sign_up

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def cookies(browser, product: Product):
    """Those of the first account, which is made once."""
    page = browser.new_page(base_url=product.url)
    sign_up(page, product)
    expect(page.get_by_role("heading", name="Welcome, trader")).to_be_visible()
    kept = page.context.cookies()
    page.context.close()
    return kept


@pytest.fixture
def page(browser, product: Product, cookies):
    """Logged in; what the browser notes in its console about answers that fail is what these tests are about."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=product.url)
    context.add_cookies(cookies)
    yield context.new_page()
    context.close()


@contextmanager
def without(product: Product, part: str):
    """The processes with `part` in their command line are dead, and nothing starts them again before the end."""
    product.process.send_signal(signal.SIGSTOP)
    try:
        for one in product.find(part):
            one.kill()
        yield
    finally:
        product.process.send_signal(signal.SIGCONT)


def submit(page: Page, *, entry: str) -> str:
    """Each with a length of its own: what has run before is not run again without asking."""
    page.goto("/backtests/new")
    fill_in(page, strategy="donchian_breakout", symbol="USD-BTC")
    page.locator("#params-entry").fill(entry)
    page.get_by_role("button", name="Run backtest").click()
    page.wait_for_url(re.compile(r"/backtests/[0-9a-f-]{36}$"))
    return page.url


def test_cancel_clone_and_run_again_while_the_server_goes_away(product, page):
    with without(product, "workers.boot:boot "):
        address = submit(page, entry="40")
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("heading", name="Cancelled")).to_be_visible()
        page.get_by_role("link", name="Clone and edit").click()
        expect(page.locator("#strategy")).to_have_value("donchian_breakout")
        expect(page.get_by_role("checkbox", name=re.compile("USD-BTC"))).to_be_checked()
        page.locator("#params-entry").fill("50")
        page.get_by_role("button", name="Run backtest").click()
        expect(page.locator("#backtest-status")).to_be_visible()
        page.evaluate("window.stayed = true")
        with without(product, "gunicorn"):
            expect(page.locator("#connection")).to_contain_text("goes on by itself", timeout=30_000)
    expect(page.get_by_text("Total return").first).to_be_visible(timeout=90_000)
    expect(page.locator("#connection")).to_be_empty()
    expect(page.locator(".page-head")).to_contain_text("entry 50")
    assert page.url != address
    assert page.evaluate("window.stayed")


def test_an_expired_session_goes_on_where_it_was(page):
    page.goto("/backtests?strategy=sma_cross&sort=-sharpe")
    page.context.clear_cookies()
    page.locator("#sort-trade_count").click()
    dialog = page.get_by_role("dialog", name="Log in")
    expect(dialog.get_by_label("Name")).to_have_value("trader")
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile(r"/backtests\?.*sort=-?trade_count"), timeout=30_000)
    page.context.clear_cookies()
    page.goto("/backtests?strategy=sma_cross")
    page.get_by_label("Name").fill("trader")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile(r"/backtests\?strategy=sma_cross$"), timeout=30_000)


def test_a_backtest_that_another_tab_has_deleted(page):
    address = submit(page, entry="48")
    expect(page.get_by_text("Total return").first).to_be_visible(timeout=60_000)
    other = page.context.new_page()
    other.goto(address)
    other.locator("#more-menu > summary").click()
    other.get_by_role("button", name=re.compile("^Delete")).click()
    expect(other.get_by_role("button", name="Take it back")).to_be_visible()
    page.get_by_role("button", name="Pin", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("There is nothing at this address")
    page.reload()
    expect(page.get_by_role("heading", name="This backtest was deleted")).to_be_visible()
    page.get_by_role("button", name="Take it back").click()
    expect(page.get_by_text("The backtest is back.")).to_be_visible()
    expect(page.get_by_text("Total return").first).to_be_visible()


def test_an_address_of_nothing_leads_back(page):
    for address in ("/nowhere", "/backtests/00000000-0000-0000-0000-000000000000", "/data/NO-SUCH/1h"):
        answer = page.goto(address)
        assert answer.status == 404, address
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.get_by_role("link", name="Back to the start").click()
        page.wait_for_url(re.compile(r"/$"))
