"""From `./dev run` to the first page, from the click on Run to the metrics, memory at rest, page weight."""

import argparse
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.report import Report

ROOT = Path(__file__).parents[1]
BROWSER_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
BARS = 1000


class Running:
    """`./dev run` in a folder, on a free port."""

    def __init__(self, clone: Path, data_dir: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = data_dir.with_suffix(".log")
        env = {"PORT": str(self.port), "DATA_DIR": str(data_dir)}
        self.started = time.perf_counter()
        with self.log.open("wb") as log:
            import os

            self.process = subprocess.Popen(
                ["./dev", "run"], cwd=clone, env={**os.environ, **env}, stdout=log, stderr=subprocess.STDOUT
            )

    def first_page(self) -> float:
        """Seconds from the start to the first page answered with 200."""
        while self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/login", timeout=5) as answer:  # noqa: S310
                    if answer.status == 200:
                        return time.perf_counter() - self.started
            except (urllib.error.URLError, OSError):
                time.sleep(0.02)
        raise SystemExit(self.log.read_text())

    def setup_link(self) -> str:
        while not (found := re.search(r"http://\S+/setup\?token=\S+", self.log.read_text())):
            time.sleep(0.05)
        return found.group()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=60)


def start_times(clone: Path, folder: Path, runs: int) -> tuple[list[float], list[float]]:
    """Seconds to the first page: with `.venv` to be made, and with everything in place."""
    fresh, again = [], []
    for run in range(runs):
        shutil.rmtree(clone / ".venv", ignore_errors=True)
        for name, seconds in (("fresh", fresh), ("again", again)):
            product = Running(clone, folder / f"{name}-{run}")
            seconds.append(product.first_page())
            product.stop()
    return fresh, again


def sign_up(page: Page, product: Running) -> None:
    page.goto(product.setup_link())
    page.get_by_label("Name").fill("bench")
    page.get_by_label("Password", exact=True).fill("correct horse battery")
    page.get_by_label("Password again").fill("correct horse battery")
    page.get_by_role("button", name="Create the account").click()


def click_to_metrics(page: Page, product: Running, bars: int) -> float:
    """Seconds from the click on Run to the metrics of the result: volume_zone_breakout on the last `bars` bars.

    Each click asks for other bars: what was run before would be offered instead of being run.
    """
    page.goto(f"{product.url}/backtests/new")
    page.locator("#strategy").select_option("volume_zone_breakout")
    page.get_by_label("Timeframe").select_option("1h")
    box = page.get_by_role("checkbox", name=re.compile("USD-BTC"))
    box.check()
    page.get_by_label("Only the last bars").fill(f"{bars}")
    page.wait_for_load_state("networkidle")  # what the form asks while it is filled in is not what is measured
    button = page.get_by_role("button", name="Run backtest")
    started = time.perf_counter()
    button.click()
    page.locator("dl.strip").get_by_text("Max drawdown").wait_for(timeout=60_000)
    return time.perf_counter() - started


def weight(browser: Browser, page: Page, url: str) -> tuple[float, float]:
    """kB transferred for `url` with an empty cache, and milliseconds to its load event."""
    context = browser.new_context(storage_state=page.context.storage_state())
    fresh = context.new_page()
    session = context.new_cdp_session(fresh)
    session.send("Network.enable")
    transferred = [0.0]
    session.on("Network.loadingFinished", lambda event: transferred.append(event["encodedDataLength"]))
    started = time.perf_counter()
    fresh.goto(url, wait_until="networkidle")
    seconds = time.perf_counter() - started
    context.close()
    return sum(transferred) / 1000, seconds * 1000


def memory(product: Running) -> dict[str, float]:
    """Proportional set size in MB of each part, its processes together, and the resident size of its largest."""
    parts = {"web": "gunicorn", "worker": "dramatiq", "valkey": "valkey-server", "clock": "workers.clock"}
    sizes = {}
    family = psutil.Process(product.process.pid).children(recursive=True)
    for part, word in parts.items():
        own = [process for process in family if word in " ".join(process.cmdline())]
        sizes[part] = sum(process.memory_full_info().pss for process in own) / 1e6
        sizes[f"{part}, largest process (RSS)"] = max(process.memory_info().rss for process in own) / 1e6
    sizes["supervisor"] = psutil.Process(product.process.pid).memory_full_info().pss / 1e6
    return sizes


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="./dev bench first-result", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=5, help="starts of the product")
    parser.add_argument("--clicks", type=int, default=30, help="backtests submitted")
    options = parser.parse_args(argv)
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    if browser_path is None:
        raise SystemExit("this benchmark needs Chromium: apt-get install chromium")
    report = Report("first-result")
    with tempfile.TemporaryDirectory(prefix="coin-hts-bench-") as name:
        folder = Path(name)
        clone = folder / "clone"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        fresh, again = start_times(clone, folder, options.runs)
        report.add("./dev run to first page, no .venv yet", "s", fresh, "goal: under 10 with a warm package cache")
        report.add("./dev run to first page, installed", "s", again)
        measure_use(report, Running(clone, folder / "use"), browser_path, options.clicks)
    report.show(as_json=options.json)


def measure_use(report: Report, product: Running, browser_path: str, clicks: int) -> None:
    """Click, weigh and look at the memory of one running product."""
    product.first_page()
    product.setup_link()
    time.sleep(15)  # kernels are warm, the sample backtest has run
    for part, size in memory(product).items():
        goal = "goal: under 90" if part == "web, largest process (RSS)" else ""
        report.add(f"memory at rest, {part}", "MB", [size], goal)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=BROWSER_ARGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        sign_up(page, product)
        first, *rest = [click_to_metrics(page, product, BARS + number) for number in range(clicks + 1)]
        report.add(f"click on Run to metrics, {BARS:,} bars", "s", rest, "goal: median under 0.5, p95 under 1")
        report.notes.append(f"the very first click took {first:.2f} s")
        result = page.url
        for label, url in (("home", "/"), ("list", "/backtests"), ("new", "/backtests/new"), ("result", result)):
            target = url if url.startswith("http") else f"{product.url}{url}"
            measured = [weight(browser, page, target) for _ in range(5)]
            goal = "goal: under 500 with charts" if label == "result" else "goal: under 200"
            report.add(f"{label} page, transferred", "kB", [kilobytes for kilobytes, _ in measured], goal)
        browser.close()
    report.add("memory of web after all this", "MB", [memory(product)["web"]])
    product.stop()
