"""Waits for htmx in a real browser, so that nothing is typed into what is about to be replaced."""

from playwright.sync_api import Page, expect

from tests.services import wait_for

BUSY = ".htmx-request, .htmx-swapping, .htmx-settling, .htmx-added"


def settled(page: Page) -> None:
    """Come back when every fragment that was asked for stands in the page."""
    expect(page.locator(BUSY)).to_have_count(0)


def until(page: Page, expression: str) -> None:
    """Come back when the expression is true. Playwright's own wait evaluates in the page, which our policy refuses."""
    wait_for(lambda: page.evaluate(expression), what=expression)


def fill_in(page: Page, *, strategy: str, symbol: str, timeframe: str = "1h") -> None:
    """Choose these in the form of a new backtest; each choice brings other fields."""
    page.locator("#strategy").select_option(strategy)
    settled(page)
    page.get_by_label("Timeframe").select_option(timeframe)
    settled(page)
    page.locator(f"input[name='symbols'][value='{symbol}']").check()
    settled(page)
