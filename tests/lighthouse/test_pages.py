"""Lighthouse (desktop) on the list and on a result, with the whole product behind them, as people are served."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Playwright, expect

from tests.databases import missing
from tests.lighthouse.installed import install, measure, node
from tests.product import Product
from tests.screenshots import sign_up
from tests.services import free_port

FAST_ENOUGH = 50
"""Of 100, on a machine that does other things meanwhile; `./dev bench pages` holds the quiet one to 95."""


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    if node() is None:
        missing("Lighthouse needs Node with npm")
    install()
    product = Product(tmp_path / "data", WORKER_PROCESSES="1").start()
    yield product
    product.stop()


def test_the_list_and_a_result(product: Product, playwright: Playwright, browser_type_launch_args):
    port = free_port()
    args = [*browser_type_launch_args["args"], f"--remote-debugging-port={port}"]
    browser = playwright.chromium.launch(**{**browser_type_launch_args, "args": args})
    page = browser.new_page(base_url=product.url)
    sign_up(page, product)
    page.goto("/backtests")
    page.locator("#list tbody a").first.click()
    expect(page.locator("#equity-chart[data-drawn] canvas").first).to_be_visible(timeout=60_000)
    cookie = "; ".join(f"{one['name']}={one['value']}" for one in page.context.cookies())
    found = measure(port, cookie, [page.url, f"{product.url}/backtests"])
    browser.close()
    for one in found:
        wrong = {name: score for name, score in one.scores.items() if score < 95 and name != "performance"}
        assert not wrong, (one.address, wrong, one.failed)
        assert one.scores["performance"] >= FAST_ENOUGH, one
    result, listing = found
    assert result.bytes < 500_000
    assert listing.bytes < 200_000
