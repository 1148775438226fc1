"""The list and the comparison in a real browser: filter and share, compare, delete and undo, the keyboard alone."""

import re
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from storage_core.db import session_scope
from storage_core.models import Backtest
from tests.webapp import results

# Nothing here waits for a fixed time: expect() asks again until the page says so.


@pytest.fixture
def five(engine, settings, users):
    """Completed: sma_cross with 10/40 and 24/96, three of other strategies; one is shared by nobody."""
    kinds = (("sma_cross", {"fast": 10, "slow": 40}), ("sma_cross", {}), ("rsi_reversion", {}),
             ("donchian_breakout", {}), ("volume_long_candle", {}))  # fmt: skip
    made = [
        results.complete(engine, settings, owner_id=users["ada"], strategy=strategy, params=params, trades=30)
        for strategy, params in kinds
    ]
    with session_scope(engine) as session:
        for number, task_id in enumerate(made):
            session.get(Backtest, task_id).sharpe = float(number)
    return made


def rows(page: Page):
    return page.locator("#list tbody tr")


def test_filter_share_the_address_and_go_back(page, five):
    page.goto("/backtests")
    page.evaluate("window.stayed = true")
    page.locator("#open-strategy").click()
    page.get_by_role("checkbox", name="sma_cross", exact=True).check()
    page.locator("#menu-strategy").get_by_role("button", name="Apply").click()
    expect(rows(page)).to_have_count(2)
    expect(page).to_have_url(re.compile(r"/backtests\?strategy=sma_cross$"))
    expect(page.locator("#open-strategy")).to_be_focused()
    page.locator("#sort-sharpe").click()
    expect(page.locator("th[aria-sort='descending']")).to_contain_text("Sharpe")
    shared = "/backtests?strategy=sma_cross&sort=-sharpe"
    expect(page).to_have_url(re.compile(re.escape(shared) + "$"))
    assert page.evaluate("window.stayed")
    other = page.context.new_page()
    other.goto(shared)
    expect(rows(other)).to_have_count(2)
    expect(other.locator("#open-strategy")).to_contain_text("sma_cross")
    other.close()
    page.go_back()
    expect(page).to_have_url(re.compile(r"strategy=sma_cross$"))
    expect(rows(page)).to_have_count(2)
    page.get_by_role("link", name="Remove the filter Strategy").click()
    expect(rows(page)).to_have_count(5)
    expect(page).to_have_url(re.compile(r"/backtests$"))


def test_a_wrong_value_opens_its_menu_and_is_mended_there(page, five):
    page.goto("/backtests")
    page.locator("#open-metrics").click()
    page.locator("#filter-sharpe_min").fill("much")
    page.keyboard.press("Enter")
    expect(page.locator("#filter-sharpe_min-error")).to_contain_text("a number such as 1.5")
    expect(page.locator("#filter-sharpe_min")).to_be_focused()
    page.locator("#filter-sharpe_min").fill("3")
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(2)
    expect(page.locator("#open-metrics")).to_contain_text("Sharpe ≥ 3")


def test_delete_and_undo(page, five):
    page.goto("/backtests?sort=-sharpe")
    rows(page).nth(0).get_by_role("checkbox").check()
    rows(page).nth(3).get_by_role("checkbox").click(modifiers=["Shift"])
    expect(page.locator("[data-pick-count]")).to_have_text("4 selected")
    rows(page).nth(1).get_by_role("checkbox").uncheck()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(rows(page)).to_have_count(2)
    expect(page.locator("#announce")).to_have_text("3 backtests deleted.")
    expect(page.get_by_role("button", name="Undo")).to_be_focused()
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(5)
    expect(page.get_by_text("3 backtests are back.").first).to_be_visible()
    expect(page).to_have_url(re.compile(r"/backtests\?sort=-sharpe$"))


def test_tag_and_save_a_view(page, five):
    page.goto("/backtests?strategy=sma_cross")
    page.get_by_label("Select all on this page").check()
    page.locator("#open-tag").click()
    page.locator("#bulk-tag").fill("trend, btc")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#list tbody .chip", has_text="trend")).to_have_count(2)
    page.locator("#menu-views > summary").click()
    page.locator("#view-name").fill("Crossings")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved as Crossings.").first).to_be_visible()
    page.goto("/backtests")
    page.locator("#menu-views > summary").click()
    page.get_by_role("link", name="Crossings").click()
    expect(rows(page)).to_have_count(2)


def test_columns_are_chosen_over_the_page(page, five):
    page.goto("/backtests?sort=-sharpe")
    before = page.locator("#filters").bounding_box()
    page.locator("#menu-columns > summary").click()
    assert page.locator("#filters").bounding_box() == before
    page.get_by_role("checkbox", name="Sortino ratio").check()
    page.get_by_role("checkbox", name="Params").uncheck()
    page.locator("#menu-columns").get_by_role("button", name="Apply").click()
    expect(page.get_by_role("columnheader", name="Sortino")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Params")).to_have_count(0)
    columns = "&column=symbols&column=timeframe&column=total_return_pct"
    expect(page).to_have_url(re.compile(rf"/backtests\?sort=-sharpe{columns}"))


def test_compare_two_and_add_a_third(page, five):
    page.goto("/backtests")
    for place in (0, 1):
        rows(page).nth(place).get_by_role("checkbox").check()
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url("**/compare?ids=*")
    expect(page.locator("#compare-chart[data-drawn] canvas").first).to_be_visible()
    expect(page.locator("#compare-chart .chart-legend span.swatch")).to_have_count(2)
    page.evaluate("window.stayed = true")
    two = page.url
    page.get_by_role("button", name="Add").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".sides li")).to_have_count(3)
    expect(page.locator("#compare-chart[data-drawn] .chart-legend span.swatch")).to_have_count(3)
    expect(page).to_have_title("Compare 3 backtests · coin-hts")
    expect(page.get_by_label("Add", exact=True)).to_be_focused()
    expect(page).to_have_url(re.compile(r"ids=[^,%]+(,|%2C)[^,%]+(,|%2C)[^,%]+$"))
    page.get_by_role("link", name=re.compile("^Take B")).click()
    expect(page.locator(".sides li")).to_have_count(2)
    expect(page.locator("#compare-chart[data-drawn] .chart-legend span.swatch")).to_have_count(2)
    expect(page.get_by_label("Add", exact=True)).to_be_focused()
    assert page.evaluate("window.stayed"), "the page was not loaded anew"
    page.go_back()
    expect(page.locator(".sides li")).to_have_count(3)
    page.go_back()
    expect(page).to_have_url(two)
    expect(page).to_have_title("Compare 2 backtests · coin-hts")
    expect(page.locator("#compare-chart[data-drawn] canvas").first).to_be_visible()
    page.go_forward()
    expect(page.locator(".sides li")).to_have_count(3)
    page.get_by_role("link", name=re.compile("^Take C")).click()
    expect(page.locator(".sides li")).to_have_count(2)
    page.get_by_role("link", name=re.compile("^Take B")).click()
    expect(page.get_by_role("heading", name="Two are needed")).to_be_visible()
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#compare-chart[data-drawn] canvas").first).to_be_visible()


def test_the_keyboard_alone(page, five):
    page.goto("/backtests")
    page.locator("#open-strategy").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    for _ in range(20):
        if page.evaluate("document.activeElement.value") == "rsi_reversion":
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(1)
    expect(page.locator("#open-strategy")).to_be_focused()
    page.goto("/backtests")
    rows(page).nth(0).get_by_role("checkbox").focus()
    page.keyboard.press("Space")
    expect(page.locator("[data-pick-count]")).to_have_text("1 selected")
    page.keyboard.press("Escape")
    expect(page.locator("#selected")).to_be_hidden()
    page.locator("#sort-sharpe").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#sort-sharpe")).to_be_focused()
    expect(page.locator("th[aria-sort='descending']")).to_contain_text("Sharpe")


def test_it_works_without_scripts(browser, page, five):
    state = page.context.storage_state()
    base = f"{urlsplit(page.url).scheme}://{urlsplit(page.url).netloc}"
    context = browser.new_context(base_url=base, storage_state=state, java_script_enabled=False)
    plain = context.new_page()
    plain.goto("/backtests")
    plain.locator("#open-strategy").click()
    plain.get_by_role("checkbox", name="sma_cross", exact=True).check()
    plain.locator("#menu-strategy").get_by_role("button", name="Apply").click()
    expect(plain).to_have_url(re.compile(r"/backtests\?strategy=sma_cross$"))
    rows(plain).nth(0).get_by_role("checkbox").check()
    plain.get_by_role("button", name="Delete", exact=True).click()
    expect(rows(plain)).to_have_count(1)
    plain.get_by_role("button", name="Undo").click()
    expect(plain.get_by_text("1 backtest is back.")).to_be_visible()
    context.close()


def test_nothing_for_axe_and_nothing_wider_than_a_phone(page, five):
    axe, ids = Axe(), ",".join(map(str, five[:3]))
    for where_ in ("/backtests?strategy=sma_cross&sort=-sharpe&sharpe_min=x", "/backtests", f"/compare?ids={ids}"):
        for width, theme in ((1440, "dark"), (390, "light")):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            page.goto(where_)
            if "compare" in where_:
                expect(page.locator("#compare-chart[data-drawn] canvas").first).to_be_visible()
            elif "sort" not in where_:
                rows(page).nth(0).get_by_role("checkbox").check()
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (where_, width)
            found = [(one["id"], one["nodes"][0]["html"]) for one in axe.run(page).response["violations"]]
            assert found == [], (where_, width, theme)
