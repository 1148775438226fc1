"""Account and audit log in a real browser: the theme of an account, filters in place."""

from playwright.sync_api import expect


def test_the_theme_of_the_account_counts_until_the_button_is_pressed(page):
    root = page.locator("html")
    page.goto("/account")
    expect(root).to_have_attribute("data-bs-theme", "light")
    page.get_by_label("Theme").select_option("dark")
    page.get_by_role("button", name="Save").click()
    expect(root).to_have_attribute("data-bs-theme", "dark")
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(root).to_have_attribute("data-bs-theme", "light")
    page.reload()
    expect(root).to_have_attribute("data-bs-theme", "light")
    page.get_by_label("Theme").select_option("light")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.get_by_label("Theme").select_option("dark")
    page.get_by_role("button", name="Save").click()
    expect(root).to_have_attribute("data-bs-theme", "dark")


def test_the_audit_log_is_filtered_in_place_and_the_back_button_returns(page):
    page.goto("/operations/audit")
    page.get_by_label("Did what").select_option("account.logged_in")
    expect(page).to_have_url(f"{page.url.partition('?')[0]}?action=account.logged_in")
    expect(page.locator("#audit-entries tbody tr")).to_have_count(1)
    page.get_by_label("To what").fill("nobody")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No entries")).to_be_visible()
    page.go_back()
    expect(page.locator("#audit-entries tbody tr")).to_have_count(1)
