"""A telephone in a hand: taps, and fingers that drag and pinch a chart."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.htmx_page import settled, until
from tests.webapp import results


def test_the_list_by_finger(phone: Page, engine, settings, users, completed):
    completed()
    results.queue(engine, owner_id=users["ada"], strategy="rsi_reversion", params={})
    phone.get_by_role("link", name="Backtests", exact=True).tap()
    phone.locator("#open-strategy").tap()
    phone.get_by_role("checkbox", name="sma_cross", exact=True).tap()
    phone.locator("#menu-strategy").get_by_role("button", name="Apply").tap()
    expect(phone).to_have_url(re.compile(r"strategy=sma_cross"))
    settled(phone)
    rows = phone.locator("tr[id^='backtest-']")
    expect(rows).to_have_count(1)
    rows.first.get_by_role("checkbox").tap()
    expect(phone.get_by_role("button", name="Delete", exact=True)).to_be_visible()
    phone.get_by_role("button", name="Delete", exact=True).tap()
    phone.get_by_role("button", name="Undo").tap()
    expect(rows).to_have_count(1)
    phone.locator("header summary").tap()
    phone.get_by_role("link", name="Strategies").tap()
    expect(phone.get_by_role("heading", name="Strategies", exact=True)).to_be_visible()


def test_a_backtest_begun_by_finger(phone: Page, bars):
    phone.goto("/backtests/new")
    phone.locator("summary").filter(has_text="Stops, targets and time limits").tap()
    phone.get_by_label("Stop loss").tap()
    phone.keyboard.type("5")
    phone.get_by_role("button", name="Run backtest").tap()
    expect(phone).to_have_url(re.compile(r"/backtests/[0-9a-f-]{36}$"))
    expect(phone.get_by_text("waiting for a worker")).to_be_visible()
    phone.get_by_role("button", name="Cancel").tap()
    expect(phone.get_by_text("Cancelled").first).to_be_visible()


def test_a_chart_under_two_fingers(phone: Page, completed):
    phone.goto(completed(count=9_000))
    phone.get_by_role("link", name="Chart", exact=True).tap()
    chart = phone.locator("#candles-chart[data-drawn]")
    expect(chart).to_be_visible()
    with phone.expect_response(lambda answer: "candles.json" in answer.url and "from=" in answer.url) as detail:
        pinch(phone, chart)
    assert detail.value.ok
    assert phone.evaluate("visualViewport.scale") == 1, "the page stays as it is"
    phone.get_by_role("link", name="Trades").tap()
    expect(phone.get_by_role("columnheader", name="Entry price")).to_be_visible()


def pinch(phone: Page, chart: Locator) -> None:
    """Two fingers go apart on the candles."""
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + 120
    client = phone.context.new_cdp_session(phone)

    def touch(kind: str, apart: float) -> None:
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}] if apart else []
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 10)
    for step in range(1, 13):
        touch("touchMove", 10 + 10 * step)
    touch("touchEnd", 0)


def test_a_finger_on_a_chart_scrolls_the_page(phone: Page, completed):
    phone.goto(completed(count=9_000))
    chart = phone.locator("#equity-chart[data-drawn]")
    chart.scroll_into_view_if_needed()
    box, before = chart.bounding_box(), phone.evaluate("scrollY")
    client = phone.context.new_cdp_session(phone)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    client.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for step in range(1, 16):
        point = {"x": x, "y": y - 15 * step}
        client.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    until(phone, f"scrollY > {before + 100}")
    assert phone.evaluate("scrollY") > before + 100


def test_what_matters_fits_beside_its_name(phone: Page, completed, settings, engine, users):
    """Nothing has to be pushed sideways to see how two backtests went."""
    address = completed()
    other = results.complete(engine, settings, owner_id=users["ada"], trades=40)
    table = phone.locator(".compact")
    places = {"/": table.get_by_role("columnheader", name="Equity")}
    trades = phone.get_by_role("region", name="Last trades")
    places[address] = trades.get_by_role("columnheader", name="Return")
    metrics = phone.get_by_role("region", name="Metrics")
    places[f"/compare?ids={address.rpartition('/')[2]},{other}"] = metrics.get_by_role("columnheader", name="B")
    for place, last in places.items():
        phone.goto(place)
        expect(last).to_be_visible()
        box = last.bounding_box()
        assert box["x"] + box["width"] <= 390, place


def test_the_outermost_words_of_an_axis_have_room(phone: Page, completed):
    phone.goto(f"{completed(count=9_000)}/chart")
    expect(phone.locator("#candles-chart[data-drawn]")).to_be_visible()
    shown = "(() => { const [one] = Charts.live.values(); return one.chart.timeScale().getVisibleLogicalRange(); })()"
    until(phone, f"{shown}?.from < -1")
    phone.set_viewport_size({"width": 844, "height": 390})
    until(phone, "[...Charts.live.values()][0].chart.timeScale().width() > 500")
    until(phone, f"{shown}.from < -1")
