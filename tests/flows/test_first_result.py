"""From the set-up link to the chart, as a first visitor clicks it."""

import re

from playwright.sync_api import expect

from tests.htmx_page import fill_in, settled


def test_from_the_setup_link_to_the_chart(product, wide_page):
    page = wide_page
    page.goto(product.setup_link)
    page.get_by_label("Name").fill("trader")
    page.get_by_label("Password", exact=True).fill("correct horse battery")
    page.get_by_label("Password again").fill("correct horse battery")
    page.get_by_role("button", name="Create the account").click()

    page.get_by_role("link", name="New backtest").first.click()
    fill_in(page, strategy="volume_zone_breakout", symbol="USD-BTC")
    expect(page.get_by_label(re.compile("bins", re.IGNORECASE))).to_have_value("20")
    page.get_by_role("button", name="Run backtest").click()

    expect(page.get_by_text("Total return").first).to_be_visible(timeout=60_000)
    for label in ("Sharpe", "Max drawdown", "Win rate", "Can I trust it?", "Assumptions"):
        expect(page.get_by_text(label).first).to_be_visible()
    expect(page.locator("#equity-chart canvas").first).to_be_visible()

    page.get_by_role("link", name="Chart", exact=True).click()
    expect(page.locator("#candles-chart canvas").first).to_be_visible()
    page.get_by_role("link", name=re.compile("^Trades")).click()
    expect(page.get_by_role("table").first).to_contain_text("time")

    page.get_by_role("link", name="Backtests", exact=True).click()
    rows = page.get_by_role("row")
    expect(rows.filter(has_text="volume_zone_breakout").first).to_be_visible()
    expect(rows.filter(has_text="sma_cross").first).to_be_visible()


def test_a_wrong_value_is_answered_beside_its_field(product, wide_page):
    page = wide_page
    log_in(page)
    page.goto("/backtests/new")
    expect(page.locator("#strategy")).to_have_value(
        "sma_cross"
    )  # choosing it would bring its fields anew, a moment later
    slow = page.get_by_label("Slow average (bars)")
    slow.fill("5")
    page.locator("input[name='symbols'][value='USD-BTC']").check()
    settled(page)
    page.get_by_role("button", name="Run backtest").click()
    expect(page.get_by_role("alert").first).to_contain_text("Nothing has been submitted")
    expect(page.get_by_text("allowed: less than 5 (Slow average)")).to_be_visible()
    expect(slow).to_have_value("5")
    assert page.url.endswith("/backtests/new")


def log_in(page):
    page.goto("/login")
    page.get_by_label("Name").fill("trader")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Log in").click()
