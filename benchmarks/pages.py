"""Lighthouse (desktop) of every page with a sample in it: three scores and the bytes over the wire, medians."""

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path

from benchmarks.report import Report

ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
SCORE, CHARTS, PLAIN = "goal: 95 or more", "goal: under 500", "goal: under 200"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench pages", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--runs", type=int, default=5, help="of each page")
    parser.add_argument("--only", default="", help="pages whose name has this in it")
    options = parser.parse_args(argv)
    report = Report("pages")
    with tempfile.TemporaryDirectory(prefix="coin-hts-pages-") as folder:
        measure_all(report, Path(folder), options)
    report.show(as_json=options.json)
    return 0


def measure_all(report: Report, folder: Path, options: argparse.Namespace) -> None:
    """Start a product, use it, and ask Lighthouse."""
    from playwright.sync_api import sync_playwright

    from tests.lighthouse.installed import install, measure
    from tests.product import Product
    from tests.screenshots import BACKTESTS, sign_up, submit
    from tests.services import free_port

    install()
    product, port = Product(folder / "data").start(), free_port()
    path = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        with sync_playwright() as playwright:
            args = [*ARGS, f"--remote-debugging-port={port}"]
            browser = playwright.chromium.launch(executable_path=path, args=args)
            page = browser.new_page(base_url=product.url)
            sign_up(page, product)
            results = [submit(page, *one) for one in BACKTESTS]
            cookie = "; ".join(f"{one['name']}={one['value']}" for one in page.context.cookies())
            for name, (address, goal) in addresses(product.url, results).items():
                if options.only in name:
                    add(report, name, goal, measure(port, cookie, [address] * options.runs))
            browser.close()
    finally:
        product.stop()


def addresses(root: str, results: list[str]) -> dict[str, tuple[str, str]]:
    """Name of a page -> its address and how much it may weigh."""
    ids = ",".join(one.rpartition("/")[2] for one in results)
    drawn = {
        "overview": results[-1],
        "chart": f"{results[-1]}/chart",
        "analysis": f"{results[-1]}/analysis",
        "compare": f"{root}/compare?ids={ids}",
        "bars": f"{root}/data/USD-BTC/1h",
    }
    plain = {
        "home": f"{root}/",
        "list": f"{root}/backtests",
        "new": f"{root}/backtests/new",
        "trades": f"{results[-1]}/trades",
        "setup": f"{results[-1]}/setup",
        "data": f"{root}/data",
        "strategies": f"{root}/strategies",
        "schedules": f"{root}/schedules",
        "operations": f"{root}/operations",
        "storage": f"{root}/operations/storage",
        "backups": f"{root}/operations/backups",
        "alerts": f"{root}/operations/alerts",
        "audit": f"{root}/operations/audit",
        "account": f"{root}/account",
        "users": f"{root}/users",
        "api": f"{root}/api/docs",
    }
    with_charts = {name: (address, CHARTS) for name, address in drawn.items()}
    return with_charts | {name: (address, PLAIN) for name, address in plain.items()}


def add(report: Report, name: str, goal: str, found: list) -> None:
    """The figures of one page; what failed in most of its runs is a note."""
    for kind in ("performance", "accessibility", "best-practices"):
        report.add(f"{name}: {kind}", "of 100", [one.scores[kind] for one in found], SCORE)
    report.add(f"{name}: transferred", "kB", [one.bytes / 1000 for one in found], goal)
    if failed := {audit for one in found for audit in one.failed}:
        scores = statistics.median(min(one.scores.values()) for one in found)
        report.notes.append(f"{name}, lowest score {scores:g}: failed {', '.join(sorted(failed))}")
