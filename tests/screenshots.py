"""`./dev screenshots`: start a fresh product, use it, and take the pictures of docs/screenshots."""

import base64
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.htmx_page import fill_in
from tests.product import ROOT, Product

SIZES = {"wide": (1440, 900), "narrow": (390, 844)}
THEMES = ("light", "dark")
MOST_HIGH = 2_400  # pixels
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]

BACKTESTS = (
    ("donchian_breakout", {"params.entry": "48", "params.exit": "24"}),
    ("rsi_reversion", {}),
    ("volume_long_candle", {"params.hold_period_bars": "12"}),
    ("volume_zone_breakout", {}),
    ("sma_cross", {"params.fast": "24", "params.slow": "96", "exits.stop_loss": "5"}),
)


def main(argv: list[str]) -> int:
    folder = Path(argv[0]) if argv else ROOT / "docs" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as data, sync_playwright() as playwright:
        product = Product(Path(data) / "data").start()
        try:
            browser = playwright.chromium.launch(executable_path=browser_path, args=ARGS)
            page = browser.new_page(base_url=product.url)
            sign_up(page, product)
            results = [submit(page, strategy, values) for strategy, values in BACKTESTS]
            deleted = delete(page, results.pop(0))
            take_all(browser, page, folder, results, deleted)
            take_korean(browser, page, folder, results[-1])
            browser.close()
        finally:
            product.stop()
    return 0


def sign_up(page: Page, product: Product) -> None:
    page.goto(product.setup_link)
    page.get_by_label("Name").fill("trader")
    page.get_by_label("Password", exact=True).fill("correct horse battery")
    page.get_by_label("Password again").fill("correct horse battery")
    page.get_by_role("button", name="Create the account").click()


def submit(page: Page, strategy: str, values: dict[str, str]) -> str:
    """Run a backtest on USD-BTC 1h and return the address of its result."""
    page.goto("/backtests/new")
    fill_in(page, strategy=strategy, symbol="USD-BTC")
    for name, value in values.items():
        page.locator(f"[name='{name}']").evaluate("(field, value) => field.value = value", value)
    page.get_by_role("button", name="Run backtest").click()
    page.get_by_text("Max drawdown").first.wait_for(timeout=60_000)
    return page.url


def delete(page: Page, address: str) -> str:
    """Delete a backtest; its address, which says so from now on."""
    page.goto(address)
    page.locator("#more-menu > summary").click()
    page.get_by_role("button", name=re.compile("^Delete")).click()
    page.get_by_role("button", name="Take it back").wait_for()
    return address


def take_all(browser: Browser, page: Page, folder: Path, results: list[str], deleted: str) -> None:
    """Every page, wide and narrow, light and dark."""
    result = results[-1]
    pages = {
        "home": "/",
        "data": "/data",
        "bars": "/data/USD-BTC/1h",
        "list": "/backtests",
        "list-filtered": "/backtests?timeframe=1h&trade_count_min=5&sort=-sharpe",
        "compare": f"/compare?ids={','.join(one.rpartition('/')[2] for one in results)}",
        "new": "/backtests/new",
        "result": result,
        "chart": f"{result}/chart",
        "trades": f"{result}/trades",
        "analysis": f"{result}/analysis",
        "report": f"{result}/report.html",
        "setup": f"{result}/setup",
        "strategies": "/strategies",
        "schedules": "/schedules",
        "operations": "/operations",
        "storage": "/operations/storage",
        "alerts": "/operations/alerts",
        "audit": "/operations/audit",
        "account": "/account",
        "users": "/users",
        "api": "/api/docs",
        "deleted": deleted,
        "nothing": "/nowhere",
    }
    state = page.context.storage_state()
    for old in folder.glob("*-*-*.*"):
        old.unlink()
    for size, (width, height) in SIZES.items():
        for theme in THEMES:
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=theme,
                storage_state=state,
                base_url="/".join(result.split("/")[:3]),
            )
            tab = context.new_page()
            for name, url in pages.items():
                tab.goto(url, wait_until="networkidle")
                tab.wait_for_timeout(200)
                picture = take(tab, whole=size == "wide")
                (folder / f"{name}-{size}-{theme}.webp").write_bytes(picture)
            context.close()


def take_korean(browser: Browser, page: Page, folder: Path, result: str) -> None:
    """Two pages as a Korean browser shows them; without a font of the language there would be boxes, so nothing."""
    fonts = shutil.which("fc-list")
    if fonts is None or not subprocess.run([fonts, ":lang=ko"], capture_output=True, check=True).stdout:
        sys.stderr.write("no pictures in Korean: this machine has no font with Korean letters\n")
        return
    state, site = page.context.storage_state(), "/".join(result.split("/")[:3])
    for size, (width, height) in SIZES.items():
        viewport = {"width": width, "height": height}
        context = browser.new_context(viewport=viewport, storage_state=state, base_url=site, locale="ko-KR")
        tab = context.new_page()
        for name, url in {"home-ko": "/", "result-ko": result}.items():
            tab.goto(url, wait_until="networkidle")
            tab.wait_for_timeout(200)
            (folder / f"{name}-{size}-light.webp").write_bytes(take(tab, whole=size == "wide"))
        context.close()


def take(tab: Page, *, whole: bool) -> bytes:
    """WebP, which is a quarter of PNG for these pages: what is seen, or the page down to MOST_HIGH pixels."""
    height = tab.evaluate("document.documentElement.scrollHeight") if whole else tab.viewport_size["height"]
    clip = {"x": 0, "y": 0, "width": tab.viewport_size["width"], "height": min(height, MOST_HIGH), "scale": 1}
    options = {"format": "webp", "quality": 82, "captureBeyondViewport": whole, "clip": clip}
    taken = tab.context.new_cdp_session(tab).send("Page.captureScreenshot", options)
    return base64.b64decode(taken["data"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
