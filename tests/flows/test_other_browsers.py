"""The way of a first visitor in browsers that are not Chromium: an account, a result, its chart, the list, a filter."""

import re
import shutil
from collections.abc import Iterator

import pytest

from tests.databases import missing
from tests.services import wait_for
from tests.webdriver import FIREFOX, WEBKIT, Tab, firefox, webkit

PASSWORD = "correct horse battery"


@pytest.fixture
def fox(product) -> Iterator[Tab]:
    """Firefox; what its console says against a page of ours fails the test."""
    if not any(map(shutil.which, FIREFOX)):
        missing(f"needs one of {', '.join(FIREFOX)}")
    with firefox() as tab:
        yield tab
        assert tab.complaints(product.url) == []


@pytest.fixture
def kit() -> Iterator[Tab]:
    """WebKitGTK, the nearest to Safari that runs on Linux; only where somebody has installed it."""
    if absent := [name for name in WEBKIT if not shutil.which(name)]:
        pytest.skip(f"needs {' and '.join(absent)}: apt-get install webkit2gtk-driver xvfb")
    with webkit() as tab:
        yield tab


def test_the_first_visit_in_firefox(product, fox):
    assert set(first_visit(fox, product, period="21")) == {"rsi_reversion"}


def test_the_first_visit_in_webkit(product, kit):
    # the same period again would be offered instead of run
    assert set(first_visit(kit, product, period="22")) == {"rsi_reversion"}


def first_visit(tab: Tab, product, *, period: str) -> list[str]:
    """Go the whole way; the strategies in the list that is filtered in the end."""
    come_in(tab, product)
    run_a_backtest(tab, period)
    look_at_the_chart(tab)
    return filter_the_list(tab)


def come_in(tab: Tab, product) -> None:
    """Make the first account; whoever comes second logs in to it."""
    tab.open(product.setup_link)
    tab.fill("#name", "trader")
    tab.fill("#password", PASSWORD)
    if tab.run("return Boolean(document.getElementById('repeated'))"):
        tab.fill("#repeated", PASSWORD)
    tab.click("main button[type=submit]")
    tab.find("h2", "Running and recent")


def run_a_backtest(tab: Tab, period: str) -> None:
    tab.click("a.btn", "New backtest")
    tab.click("#strategy option[value=rsi_reversion]")
    tab.find("#params-period")
    tab.settle()
    tab.fill("#params-period", "many")
    tab.click("h1")
    tab.find("#params-period-error", "many")
    tab.fill("#params-period", period)
    tab.click("h1")
    wait_for(lambda: not tab.run("return document.querySelector('.field-error')"), what="the right value to be taken")
    tab.click("#run")
    tab.find(".strip dt", "Total return", seconds=60)
    tab.find("#equity-chart[data-drawn] canvas")


def look_at_the_chart(tab: Tab) -> None:
    result = tab.address
    tab.click(".tab", "Chart")
    tab.find("#candles-chart[data-drawn] canvas")
    assert tab.address == f"{result}/chart"
    tab.click("td a[data-go]")
    wait_for(lambda: re.search(r"[?&]at=\d+", tab.address), what="the address of the trade")
    tab.command("Back")
    tab.find("#equity-chart[data-drawn] canvas")


def filter_the_list(tab: Tab) -> list[str]:
    tab.click("nav a", "Backtests")
    tab.find("tr[id^=backtest-]", "rsi_reversion")
    tab.find("tr[id^=backtest-]", "sma_cross")
    tab.click("#open-strategy")
    tab.click("#menu-strategy input[value=rsi_reversion]")
    tab.click("#menu-strategy button[type=submit]")
    wait_for(lambda: tab.address.endswith("/backtests?strategy=rsi_reversion"), what="the address of the filter")
    tab.settle()
    tab.click("tr[id^=backtest-] .pick input")
    tab.find(".selected-count", "1 selected")
    return tab.run(
        "return [...document.querySelectorAll('tr[id^=backtest-] th a')].map((one) => one.textContent.trim())"
    )
