"""A real browser: Debian's Chromium, or the Chrome that is installed."""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.databases import missing
from tests.product import Product

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    path = os.environ.get("TEST_BROWSER") or next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        missing(f"the browser tests need one of {', '.join(BROWSERS)}, or TEST_BROWSER with its path")
    quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    return {
        "executable_path": path,
        "args": [*quiet, *as_root, "--disable-component-update", "--disable-sync"],
    }


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    product = Product(tmp_path_factory.mktemp("product") / "data", WORKER_PROCESSES="1")
    product.start()
    yield product
    product.stop()


@pytest.fixture
def wide_page(browser: Browser, product: Product) -> Iterator[Page]:
    """A page of 1440 x 900; any error in its console fails the test, but for the browser's own note of a 422."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=product.url)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert [text for text in complaints if "status of 422" not in text] == []
