"""Bars in a real browser: a file with errors, then right; axe and phones on every page of them."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.webapp.test_data import HEADER, csv


@pytest.mark.usefixtures("engine")
def test_upload_with_errors_then_right(page, bars, tmp_path):
    wrong, right = tmp_path / "bars.zip", tmp_path / "prices.csv"
    wrong.write_bytes(b"PK\x03\x04 an archive")
    right.write_bytes(HEADER.encode() + csv(count=30).split(b"\n", 1)[1] + b"soon,1,1,1,1,1\n")
    page.goto("/data")
    page.set_input_files("#file", wrong)
    page.get_by_role("button", name="Send and look at it").click()
    expect(page.locator("#file-error")).to_contain_text("zip archive")
    page.set_input_files("#file", right)
    page.get_by_role("button", name="Send and look at it").click()
    expect(page.get_by_role("heading", name="prices.csv")).to_be_visible()
    expect(page.locator("#report")).to_contain_text("Say whose bars these are")
    page.get_by_label("Symbol").fill("KRW-XRP")
    page.get_by_label("Timeframe").select_option("1h")
    expect(page.locator("#report")).to_contain_text("1 rows cannot be bars: correct the file, or leave them out")
    expect(page.get_by_role("button", name="Save")).to_have_count(0)
    check(page)
    page.get_by_label("Leave out rows").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="KRW-XRP 1h")).to_be_visible()
    expect(page.locator("[data-drawn] canvas").first).to_be_visible()
    assert len(bars.read("KRW-XRP", "1h")) == 30
    check(page)
    page.goto("/data")
    expect(page.get_by_role("link", name="KRW-XRP")).to_be_visible()
    check(page)


@pytest.mark.usefixtures("engine", "bars")
def test_a_fetch_begins_and_is_stopped_on_the_page(page):
    page.goto("/data")
    page.evaluate("window.stayed = true")
    page.get_by_label("Symbol").fill("KRW-XRP")
    page.get_by_label("From (UTC)").fill("2024-01-01")
    page.get_by_role("button", name="Fetch", exact=True).click()
    expect(page.get_by_role("heading", name="Fetches")).to_be_in_viewport()
    expect(page.get_by_text("KRW-XRP 1h from Upbit since 2024-01-01")).to_be_visible()
    expect(page.get_by_label("Symbol")).to_have_value("KRW-XRP")
    page.locator("#jobs").get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("cancelled; what had been stored stays")).to_be_visible()
    assert page.evaluate("window.stayed")


def check(page):
    """Nothing for axe, nothing wider than a phone, light and dark."""
    for width, theme in ((1440, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (page.url, width)
        found = [(one["id"], one["nodes"][0]["html"]) for one in Axe().run(page).response["violations"]]
        assert found == [], (page.url, width, theme)
    page.set_viewport_size({"width": 1440, "height": 900})
