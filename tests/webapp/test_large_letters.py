"""People who need other letters and other colours than ours: text at 200 %, and the colours of the system."""

from playwright.sync_api import expect


def test_letters_of_twice_the_size_fit_a_phone(page, completed):
    page.set_viewport_size({"width": 390, "height": 844})
    for address in ("/", "/backtests", "/backtests/new", completed()):
        page.goto(address)
        page.evaluate("document.documentElement.style.fontSize = '200%'")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, address
    values = page.locator(".strip .value")
    assert values.evaluate_all("(all) => all.filter((one) => one.scrollWidth > one.clientWidth).length") == 0


def test_what_a_background_told_is_seen_in_the_colours_of_the_system(page, completed):
    completed()
    page.emulate_media(forced_colors="active")
    page.goto("/backtests")
    expect(page.locator("tbody .pick input").first).to_have_css("appearance", "auto")
    canvas = page.evaluate("getComputedStyle(document.body).backgroundColor")
    expect(page.locator("tbody .dot").first).not_to_have_css("background-color", canvas)
    open_page = page.locator(".nav-item[aria-current]")
    expect(open_page).not_to_have_css("border-bottom-color", canvas)
    expect(page.locator(".nav-item:not([aria-current])").first).to_have_css("border-bottom-color", canvas)
