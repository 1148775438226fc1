"""Pages on paper: light, without controls, with whole charts and tables, and the screen as before afterwards."""

import pytest
from playwright.sync_api import Page, expect

PAPER = 718  # CSS pixels between the margins of a sheet of A4
ACROSS = 1046  # the same sheet lying
NOTED = """addEventListener("beforeprint", () => window.onPaperThen = {
  theme: document.documentElement.dataset.bsTheme,
  pictures: [...document.querySelectorAll(".chart canvas.on-paper")].map((one) => one.width > 0 && one.height > 0),
})"""

FARTHEST = """Math.max(document.documentElement.scrollWidth,
  ...[...document.querySelectorAll(".sheet, .plot, .chart")].map((one) => one.getBoundingClientRect().right))"""

VIEW = """() => { const { chart } = Charts.live.get(document.querySelector(".chart"));
  return { ...chart.timeScale().getVisibleLogicalRange(), letters: chart.options().layout.fontSize }; }"""

DRAWN = "new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))"


@pytest.fixture
def results_of(completed) -> list[str]:
    """The addresses of two results."""
    return [completed(), completed()]


@pytest.mark.parametrize("what", ["overview", "candles", "compare"])
def test_charts_are_printed_in_light_colours_and_the_screen_stays_dark(page: Page, results_of, what):
    ids = ",".join(address.rpartition("/")[2] for address in results_of)
    page.emulate_media(color_scheme="dark")
    page.goto({"overview": results_of[0], "candles": f"{results_of[0]}/chart", "compare": f"/compare?ids={ids}"}[what])
    expect(page.locator(".chart[data-drawn] canvas").first).to_be_visible()
    page.evaluate(NOTED)
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert page.evaluate("window.onPaperThen") == {"theme": "light", "pictures": [True]}
    expect(page.locator(".on-paper")).to_have_count(0)
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")


def test_nothing_is_cut_and_nothing_to_press_is_printed(page: Page, results_of):
    one = results_of[0]
    ids = ",".join(address.rpartition("/")[2] for address in results_of)
    tabs = {f"{one}{tab}": PAPER for tab in ("", "/chart", "/analysis", "/setup")}
    page.emulate_media(media="print")
    for address, width in {**tabs, f"{one}/trades": ACROSS, f"/compare?ids={ids}": PAPER, "/backtests": ACROSS}.items():
        page.set_viewport_size({"width": width, "height": 1000})
        page.goto(address)
        assert page.evaluate(FARTHEST) <= width, address
        pressed = page.locator("button:visible, input:visible, select:visible, summary:visible")
        assert [one.evaluate("(one) => one.outerHTML") for one in pressed.all()] == [], address


def test_a_chart_shows_after_printing_what_it_showed_before(page: Page, results_of):
    page.goto(f"{results_of[0]}/chart")
    expect(page.locator(".chart[data-drawn] canvas").first).to_be_visible()
    for _ in range(2):
        page.get_by_role("button", name="Zoom in (+)").click()
        page.evaluate(DRAWN)
    before = page.evaluate(VIEW)
    page.pdf(format="A4")
    page.evaluate(DRAWN)
    assert page.evaluate(VIEW) == pytest.approx(before)
