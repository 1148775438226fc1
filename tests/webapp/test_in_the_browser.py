"""The pages in a real browser: live results, zoom, theme, keyboard. test_every_page.py looks at all of them."""

import pytest
from playwright.sync_api import expect

from tests.webapp import results


def test_a_running_backtest_becomes_its_result_without_a_reload(page, engine, settings, users, monkeypatch):
    task_id = results.queue(engine, owner_id=users["ada"])
    page.goto(f"/backtests/{task_id}")
    page.evaluate("window.stayed = true")
    expect(page.get_by_text("waiting for a worker")).to_be_visible()
    monkeypatch.setattr(results, "queue", lambda engine, **changes: task_id)
    results.complete(engine, settings)
    expect(page.get_by_text("Total return").first).to_be_visible()
    expect(page.locator("#equity-chart[data-drawn] canvas").first).to_be_visible()
    expect(page.locator("#announce")).to_have_text("Completed")
    assert page.evaluate("window.stayed")


def test_zoom_fetches_detail_and_back_restores_the_tab(page, completed):
    address = completed(count=9_000)
    page.goto(address)
    page.get_by_role("link", name="Chart", exact=True).click()
    chart = page.locator("#candles-chart[data-drawn]")
    expect(chart).to_be_visible()
    with page.expect_response(lambda answer: "candles.json" in answer.url and "from=" in answer.url) as detail:
        box = chart.bounding_box()
        page.mouse.move(box["x"] + 400, box["y"] + 200)
        for _ in range(12):
            page.mouse.wheel(0, -300)
            page.wait_for_timeout(30)
    assert detail.value.ok
    page.get_by_role("link", name="Setup").click()
    expect(page.get_by_text("Bars that were used")).to_be_visible()
    page.go_back()
    expect(page.locator("#candles-chart[data-drawn]")).to_be_visible()


def test_the_switch_of_the_theme_is_remembered(page):
    root = page.locator("html")
    expect(root).to_have_attribute("data-bs-theme", "light")
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(root).to_have_attribute("data-bs-theme", "dark")
    page.goto("/backtests")
    expect(root).to_have_attribute("data-bs-theme", "dark")


def test_by_keyboard_alone(page, bars):
    page.goto("/backtests/new")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#strategy")).to_be_focused()
    page.locator("#params-fast").fill("40")
    page.keyboard.press("Enter")
    page.get_by_text("1 thing needs another look.").wait_for()
    assert "(Slow average)" in page.locator("#params-fast-error").inner_text()
    expect(page.get_by_role("alert").filter(has_text="another look")).to_be_focused()


@pytest.mark.parametrize("width", [320, 720, 800, 1001])
def test_the_header_fits_a_narrow_window_and_one_at_twice_its_size(page, width):
    page.set_viewport_size({"width": width, "height": 700})
    page.goto("/operations")
    page.locator("#queue-counts").evaluate(
        "(box) => { box.innerHTML = '<span class=\"counts-text\">12 running · 48 queued</span>' }"
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= width
