"""The page of a result in a real browser: toggles, chart and trades, analysis, notes, the report offline."""

import re

import pytest
from playwright.sync_api import Page, expect

from storage_core.bar_store import BarStore
from tests.webapp import results

SYMBOLS = ["KRW-BTC", "KRW-ETH"]


@pytest.fixture
def several(engine, settings, users) -> str:
    """The engine's own result of two symbols."""
    for seed, symbol in enumerate(SYMBOLS):
        BarStore(settings.bars_dir).merge(symbol, "1h", results.bars(3_000, seed=seed))
    spec = {"symbols": SYMBOLS, "params": {"fast": 12, "slow": 48}, "end_date": "2024-05-04"}
    return f"/backtests/{results.computed(engine, settings, owner_id=users['ada'], **spec)}"


def drawn(page: Page, name: str):
    chart = page.locator(f"#{name}-chart[data-drawn]")
    expect(chart.locator("canvas").first).to_be_visible()
    return chart


def test_symbols_off_and_on_by_keyboard_and_mouse(page: Page, several):
    page.goto(several)
    page.evaluate("window.stayed = true")
    drawn(page, "equity")
    total = page.locator(".strip .value").first
    whole = total.inner_text()
    switch = page.get_by_role("switch", name="Count KRW-BTC")
    switch.focus()
    page.keyboard.press("Space")
    expect(page.get_by_text("1 of 2 symbols are switched off")).to_be_visible()
    expect(total).not_to_have_text(whole)
    expect(page.locator("#announce")).to_have_text("Figures of 1 of 2 symbols")
    expect(page.get_by_role("switch", name="Count KRW-ETH")).to_be_disabled()
    expect(page.get_by_role("switch", name="Count KRW-BTC")).to_be_focused()
    drawn(page, "equity")
    page.get_by_role("button", name="Count all again").click()
    expect(total).to_have_text(whole)
    assert page.evaluate("window.stayed")


def test_a_trade_is_one_click_away_in_the_chart(page: Page, several):
    page.goto(f"{several}/chart?symbol=KRW-ETH")
    drawn(page, "candles")
    page.evaluate("window.stayed = true")
    link = page.locator("[data-go='KRW-ETH']").nth(3)
    with page.expect_response(lambda answer: "candles.json" in answer.url and "from=" in answer.url):
        link.click()
    expect(page).to_have_url(re.compile(rf"at={link.get_attribute('data-at')}"))
    for button, way in (("Next trade (n)", "after"), ("Previous trade (p)", "before")):
        with page.expect_response(lambda answer, way=way: "trade.json" in answer.url and f"{way}=" in answer.url):
            page.get_by_role("button", name=button).click()
    chart = page.locator("#candles-chart")
    chart.focus()
    with page.expect_response(lambda answer: "trade.json" in answer.url):
        page.keyboard.press("p")
    for key in ("ArrowLeft", "ArrowRight", "+", "-"):
        page.keyboard.press(key)
    with page.expect_download() as picture:
        page.get_by_role("button", name="Save as a PNG picture").click()
    assert picture.value.suggested_filename.endswith("KRW-ETH-1h.png")
    assert picture.value.path().read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert page.evaluate("window.stayed")


def test_analysis_and_filtered_trades_are_addresses(page: Page, several):
    page.goto(several)
    page.get_by_role("link", name="Analysis").click()
    expect(page.get_by_role("img", name="Rolling Sharpe ratio")).to_be_visible()
    reasons = page.locator("section", has=page.get_by_role("heading", name="Exit reasons"))
    reasons.get_by_text("The numbers as a table").click()
    expect(reasons.get_by_role("columnheader", name="Win rate")).to_be_visible()
    page.get_by_role("link", name=re.compile("^Trades")).click()
    page.get_by_label("Symbol").select_option("KRW-BTC")
    expect(page).to_have_url(re.compile("symbol=KRW-BTC"))
    expect(page.get_by_role("status").filter(has_text=re.compile(r"\d+ of \d+ trades"))).to_be_visible()
    page.get_by_role("link", name="Return").click()
    expect(page.locator("th[aria-sort='descending']")).to_have_text(re.compile("Return"))
    shared = page.url
    page.go_back()
    expect(page).to_have_url(re.compile(r"/trades\?symbol=KRW-BTC$"))
    expect(page.locator("th[aria-sort='descending']")).to_have_text(re.compile("Entry"))
    page.wait_for_load_state("networkidle")
    page.goto(shared)
    expect(page.get_by_label("Symbol")).to_have_value("KRW-BTC")
    expect(page.locator("th[aria-sort='descending']")).to_have_text(re.compile("Return"))


def test_note_pin_share_delete_and_undo(page: Page, several):
    page.goto(several)
    page.get_by_role("link", name="Edit").click()
    expect(page.locator("#note-note")).to_be_focused()
    page.locator("#note-note").fill("Holds up in spring")
    page.locator("#note-tags").fill("trend, btc")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#note .note-text")).to_have_text("Holds up in spring")
    expect(page.locator("#chips")).to_contain_text("trend")
    page.get_by_role("button", name="Pin", exact=True).click()
    expect(page.locator("#chips")).to_contain_text("pinned")
    page.locator("#more-menu > summary").click()
    page.get_by_role("button", name="Share with everybody here").click()
    expect(page.locator("#chips")).to_contain_text("shared")
    page.get_by_role("button", name="Unpin").click()
    expect(page.locator("#chips")).not_to_contain_text("pinned")
    page.locator("#more-menu > summary").click()
    page.get_by_role("button", name=re.compile("^Delete")).click()
    page.get_by_role("button", name="Take it back").click()
    expect(page.get_by_text("The backtest is back.")).to_be_visible()
    expect(page.locator("#note .note-text")).to_have_text("Holds up in spring")


def test_the_report_opens_offline(page: Page, several, tmp_path):
    page.goto(several)
    page.locator("#export-menu > summary").click()
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile("^Report")).click()
    path = tmp_path / "report.html"
    download.value.save_as(path)
    context = page.context.browser.new_context(offline=True)
    offline = context.new_page()
    asked, complaints = [], []
    offline.on("request", lambda request: asked.append(request.url))
    offline.on("console", lambda message: complaints.append(message.text))
    offline.goto(path.as_uri())
    expect(offline.get_by_role("img", name="Equity")).to_be_visible()
    expect(offline.get_by_role("heading", name="All metrics")).to_be_visible()
    assert asked == [path.as_uri()]
    assert complaints == []
    context.close()


def test_the_keyboard_stays_where_it_was(page, completed):
    page.goto(completed())
    pin = page.get_by_role("button", name="Pin", exact=True)
    pin.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Unpin", exact=True)).to_be_focused()
    page.get_by_role("link", name="Edit", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("textbox", name="Note")).to_be_focused()
    page.keyboard.type("Works in trends.")
    page.get_by_role("button", name="Save", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator(".note-text")).to_have_text("Works in trends.")
    expect(page.locator("#note")).to_be_focused()


def test_from_a_trade_to_the_chart_without_another_page(page, completed):
    address = completed()
    page.goto(f"{address}/trades")
    page.evaluate("window.stayed = true")
    page.locator("[data-go]").first.click()
    expect(page.locator("#candles-chart[data-drawn]")).to_be_visible()
    assert "at=" in page.url
    assert page.evaluate("window.stayed")


def test_the_library_of_charts_is_fetched_where_a_chart_is(page, completed):
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url) if "lightweight-charts" in request.url else None)
    address = completed()
    page.goto(f"{address}/trades")
    page.get_by_role("link", name="Setup").click()
    expect(page.locator("#verification")).to_be_visible()
    assert fetched == []
    page.get_by_role("link", name="Overview").click()
    expect(page.locator("#equity-chart[data-drawn] canvas").first).to_be_visible()
    page.get_by_role("link", name="Chart", exact=True).click()
    expect(page.locator("#candles-chart[data-drawn] canvas").first).to_be_visible()
    assert len(fetched) == 1


def test_the_keyboard_stays_when_another_fragment_is_swapped_meanwhile(page, completed):
    """The figures in the header come anew between the answer to a click and its settling."""
    page.goto(completed())
    page.locator("#note-edit").click()
    expect(page.locator("#note-note")).to_be_focused()
    page.evaluate("""() => document.addEventListener("htmx:afterSwap", () => document.dispatchEvent(
        new CustomEvent("htmx:beforeSwap", { detail: { target: document.getElementById("queue-counts"), xhr: {} } }),
    ), { once: true })""")
    page.locator("#note-note").fill("Holds up in spring.")
    page.get_by_role("button", name="Save", exact=True).press("Enter")
    expect(page.locator("#note .note-text")).to_be_visible()
    expect(page.locator("#note")).to_be_focused()
