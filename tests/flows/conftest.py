"""The product, started once for each module, and a page of it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.product import Product


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
