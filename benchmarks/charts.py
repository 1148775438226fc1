"""The charts of a result of a million bars: how long their data takes, whole and zoomed, and how soon they are seen.

Nothing is kept in memory between requests, so each is as the first of a process. `first look` is with an empty cache
folder: Parquet is read and the columns are kept as plain arrays. Every other request finds those.
"""

import argparse
import random
import shutil
import tempfile
import threading
import time
from itertools import cycle
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
from flask import Flask
from flask.testing import FlaskClient

from benchmarks.report import Report, timed
from engine.catalog import STRATEGIES
from engine.spec import parse_spec, spec_to_dict
from storage_core import backtests, result_store
from storage_core.bar_store import BarStore
from storage_core.db import make_engine, session_scope
from storage_core.migrate import upgrade
from storage_core.models import User
from storage_core.settings import Settings
from workers.compute import compute

MINUTE, FIRST = 60_000_000, 1_577_836_800_000_000  # microseconds; 2020-01-01 UTC
TIME, SIZE, PAINT = "goal: p95 under 60", "goal: under 200", "goal: under 1,000"


class Nobody:
    """Follows a run without a word."""

    def report(self, progress: float, phase: str) -> None:
        """Nobody listens."""

    def check(self) -> None:
        """Nobody stops it."""


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench charts", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--bars", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=40, help="samples of each figure")
    parser.add_argument("--no-browser", action="store_true", help="leave Chromium out")
    options = parser.parse_args(argv)
    report = Report(f"charts of {options.bars:,} bars")
    with tempfile.TemporaryDirectory(prefix="coin-hts-charts-") as folder:
        settings = Settings.from_env({"DATA_DIR": folder, "SECRET_KEY": "for benchmarks only"})
        task_id = prepare(settings, options.bars)
        measure(report, settings, task_id, options)
    report.show(as_json=options.json)
    return 0


def prepare(settings: Settings, count: int) -> str:
    """A person, bars, and the engine's own result of them."""
    upgrade(settings.database_url)
    walk = np.random.default_rng(7)
    close = np.round(20_000 * np.exp(np.cumsum(walk.normal(0, 0.0005, count))), 2)
    open_ = np.concatenate([[close[0]], close[:-1]])
    columns = {
        "timestamp": FIRST + np.arange(count) * MINUTE,
        "open": open_,
        "high": np.maximum(open_, close) * 1.0002,
        "low": np.minimum(open_, close) * 0.9998,
        "close": close,
        "volume": walk.uniform(1, 50, count),
    }
    BarStore(settings.bars_dir).merge("USD-BTC", "1m", columns)
    asked = {"strategy": "rsi_reversion", "symbols": ["USD-BTC"], "timeframe": "1m"}
    spec = spec_to_dict(parse_spec({**asked, "start_date": "2020-01-01", "end_date": "2029-12-31"}))
    engine = make_engine(settings.database_url)
    with session_scope(engine) as session:
        person = User(name="bench", role="admin", timezone="Asia/Seoul", password_hash="")
        session.add(person)
        session.flush()
        task_id = backtests.create(session, spec=spec, owner_id=person.id, source="command").task_id
        claim = backtests.claim(session, task_id, worker="bench")
    assert claim is not None
    made = compute(settings, spec, Nobody(), STRATEGIES)
    result_store.save(engine, settings, claim, made.tables, metrics=made.metrics, metadata=made.metadata)
    engine.dispose()
    return str(task_id)


def measure(report: Report, settings: Settings, task_id: str, options: argparse.Namespace) -> None:
    """Requests in this process, then what a browser sees."""
    from webapp import create_app
    from webapp.extensions import db

    app = create_app(settings)
    client = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"], session["_fresh"] = "1", True
    for kind in ("equity", "candles"):
        address = f"/charts/{task_id}/{kind}.json"
        measure_kind(report, client, address, settings.data_dir / "cache" / "charts", options)
    get(client, f"/backtests/{task_id}")
    report.add("page, overview", "ms", timed(lambda: get(client, f"/backtests/{task_id}"), options.runs))
    if not options.no_browser:
        paint(report, app, client, task_id)
    with app.app_context():
        db.engine.dispose()


def measure_kind(report: Report, client: FlaskClient, address: str, cache: Path, options: argparse.Namespace) -> None:
    """First look, whole, zoomed at random, known already; and the size."""
    name = address.rpartition("/")[2].partition(".")[0]

    def first() -> None:
        shutil.rmtree(cache, ignore_errors=True)
        get(client, address)

    report.add(f"{name}: first look", "ms", timed(first, 3))
    report.add(f"{name}: whole", "ms", timed(lambda: get(client, address), options.runs), TIME)
    zooms = [f"{address}?{urlencode(window)}" for window in windows(options.bars, options.runs)]
    each = cycle(zooms)
    report.add(f"{name}: zoomed", "ms", timed(lambda: get(client, next(each)), options.runs), TIME)
    tag = get(client, address).headers["ETag"]
    known = timed(lambda: get(client, address, status=304, **{"If-None-Match": tag}), options.runs)
    report.add(f"{name}: 304", "ms", known)
    sizes = [len(get(client, one).data) / 1000 for one in (address, *zooms)]
    report.add(f"{name}: size", "kB", sizes, SIZE)


def windows(bars: int, count: int) -> list[dict[str, int]]:
    """Parts of the whole, from an hour to all of it."""
    dice = random.Random(5)  # noqa: S311  windows, no secrets
    start, chosen = FIRST // 1_000_000, []
    for _ in range(count):
        span = int(60 * 60 * (bars / 60) ** dice.random())
        first = start + dice.randrange(max(1, bars * 60 - span))
        chosen.append({"from": first, "to": first + span})
    return chosen


def get(client: FlaskClient, address: str, *, status: int = 200, **headers: str):
    answer = client.get(address, headers=headers)
    assert answer.status_code == status, (answer.status, address)
    return answer


def paint(report: Report, app: Flask, client: FlaskClient, task_id: str) -> None:
    """First contentful paint of the page, and the moment at which its chart is drawn, in Chromium."""
    from playwright.sync_api import sync_playwright
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    path = shutil.which("chromium") or shutil.which("google-chrome")
    cookie = client.get_cookie("coin_hts")
    assert cookie is not None
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
            for name in ("", "/chart"):
                painted, drawn = [], []
                for _ in range(5):
                    context = browser.new_context(base_url=f"http://127.0.0.1:{server.port}")
                    context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": context_url(server.port)}])
                    page, began = context.new_page(), time.perf_counter()
                    page.goto(f"/backtests/{task_id}{name}")
                    page.locator("[data-drawn]").first.wait_for()
                    drawn.append((time.perf_counter() - began) * 1000)
                    painted.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
                    context.close()
                report.add(f"browser: first paint {name or '/'}", "ms", painted, PAINT)
                report.add(f"browser: chart drawn {name or '/'}", "ms", drawn)
            browser.close()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def context_url(port: int) -> str:
    return f"http://127.0.0.1:{port}/"
