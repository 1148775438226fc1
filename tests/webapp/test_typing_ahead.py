"""The form of a new backtest on a slow line: what is typed while a part of it is fetched anew is not lost."""

import re

import pytest
from playwright.sync_api import Route, expect

from tests.htmx_page import fill_in, settled, until

MARKET = re.compile(r"/backtests/new/market\?")


def test_what_is_typed_while_a_part_is_on_its_way_stays(page, bars):
    page.goto("/backtests/new")
    on_its_way: list[Route] = []
    page.route(MARKET, lambda route: on_its_way.append(route))  # noqa: PLW0108  playwright looks at its signature
    with page.expect_request(MARKET):
        page.get_by_label("Timeframe").select_option("1d")
    page.get_by_label("Only the last bars").fill("33")
    with page.expect_response(MARKET):
        on_its_way[0].continue_()
    expect(page.get_by_role("checkbox", name=re.compile("KRW-ETH"))).to_be_visible()
    expect(page.get_by_label("Only the last bars")).to_have_value("33")
    expect(page.get_by_label("Timeframe")).to_have_value("1d")


def test_a_click_on_run_right_after_typing_runs(page, bars):
    """The estimate that follows the typing asks the server at the very moment of the click."""
    page.goto("/backtests/new")
    page.get_by_label("Only the last bars").fill("44")
    page.wait_for_load_state("networkidle")
    page.get_by_role("button", name="Run backtest").click()
    expect(page).to_have_url(re.compile(r"/backtests/[0-9a-f-]{36}$"))


@pytest.mark.parametrize("way", ["reload", "back"])
def test_what_was_typed_outlives_a_reload_and_the_way_back(page, bars, way):
    page.goto("/backtests/new")
    fill_in(page, strategy="rsi_reversion", symbol="KRW-ETH", timeframe="1d")
    page.locator("#params-period").fill("21")
    page.get_by_label("Fee").fill("0.3")
    page.get_by_label("Only the last bars").fill("33")
    until(page, "history.state?.draft.includes('candle_size=33')")
    with page.expect_response(re.compile(r"/backtests/new/form\?")):
        if way == "reload":
            page.reload()
        else:
            page.get_by_role("link", name="Strategies", exact=True).click()
            page.wait_for_url("**/strategies")
            page.go_back()
    settled(page)
    for label, value in (("Timeframe", "1d"), ("Fee", "0.3"), ("Only the last bars", "33")):
        expect(page.get_by_label(label)).to_have_value(value)
    expect(page.locator("#strategy")).to_have_value("rsi_reversion")
    expect(page.locator("#params-period")).to_have_value("21")
    expect(page.get_by_role("checkbox", name=re.compile("KRW-ETH"))).to_be_checked()
    page.get_by_role("link", name="New backtest").click()
    expect(page.locator("#strategy")).to_have_value("sma_cross")


def test_what_an_ime_is_making_asks_for_nothing(page, bars):
    page.goto("/backtests/new")
    page.locator("#range").evaluate("(range) => range.addEventListener('keyup', () => { window.heard = true })")
    field = page.get_by_label("Only the last bars")
    field.focus()
    ime = page.context.new_cdp_session(page)
    ime.send("Input.imeSetComposition", {"text": "４４", "selectionStart": 2, "selectionEnd": 2})
    field.dispatch_event("keyup", {"key": "Process", "isComposing": True, "bubbles": True})
    assert page.evaluate("window.heard") is None
    ime.send("Input.insertText", {"text": "４４"})
    with page.expect_request(re.compile(r"/backtests/new/estimate\?")):
        page.keyboard.press("End")
    expect(page.get_by_text("About 44 bars")).to_be_visible()
    expect(field).to_have_value("４４")


def test_escape_takes_back_a_syllable_and_leaves_the_menu_open(page):
    page.goto("/backtests")
    page.locator("#open-more").click()
    tag = page.get_by_label("With all of these tags")
    tag.dispatch_event("keydown", {"key": "Escape", "isComposing": True, "bubbles": True})
    expect(tag).to_be_visible()
    tag.press("Escape")
    expect(tag).to_be_hidden()
