"""Lines that people's own strategies drew, in the chart of a result: what is sent, and what is drawn in a browser."""

import io
import uuid
import zipfile
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from storage_core import result_store
from storage_core.bar_store import BarStore
from storage_core.db import session_scope
from storage_core.models import Backtest
from tests.webapp import results
from workers.compute import compute
from workers.custom_strategies import catalog_of, find

CODE = '''"""Buys what rises."""

import numpy as np

from engine.lines import DrawnLine
from engine.signals import long_only


def signals(bars, params):
    rose = np.diff(bars.close, prepend=np.inf) > 0
    return long_only(rose, ~rose)


def lines(bars, params):
    before = np.concatenate([[np.nan], bars.close[:-1]])
    change = bars.close / before * 100 - 100
    return [
        DrawnLine("<b>constructor</b> %(n)s", (before + bars.close) / 2),
        DrawnLine("__proto__", change, "below"),
        DrawnLine("entry", np.zeros(len(bars)), "below", faint=True),
    ]
'''
LABELS = ["<b>constructor</b> %(n)s", "__proto__", "entry"]


@pytest.fixture
def own(engine, settings, users, tmp_path):
    """Runs ada's own strategy on stored bars; the file is gone afterwards. Gives the address of the result."""

    def run(code: str = CODE, *, count: int = 2_000, step: int = results.HOUR, **changes) -> str:
        folder = tmp_path / "strategies"
        folder.mkdir(exist_ok=True)
        (folder / "mine.py").write_text(code)
        task_id = results.queue(engine, owner_id=users["ada"], **{"end_date": "2024-03-24", **changes})
        with session_scope(engine) as session:
            row = session.get_one(Backtest, task_id)
            row.strategy, row.params, row.spec = "mine", {}, {**row.spec, "strategy": "mine", "params": {}}
        claim = results.start(engine, task_id)
        spec = claim.spec
        BarStore(settings.bars_dir).merge("KRW-BTC", spec["timeframe"], results.bars(count, seed=0, step=step))
        made = compute(settings, spec, results._Nobody(), catalog_of(find(folder)))
        result_store.save(engine, settings, claim, made.tables, metrics=made.metrics, metadata=made.metadata)
        (folder / "mine.py").unlink()
        return f"/backtests/{task_id}"

    return run


def candles(client, address: str, query: str = ""):
    return client.json(f"{address.replace('/backtests/', '/charts/')}/candles.json{query}")


def test_the_chart_has_the_lines_of_the_day_of_the_run(admin, own):
    address, closes = own(), results.bars(2_000, seed=0).close
    whole = candles(admin, address).json
    described = [(line["label"], line["pane"], line["faint"], line["own"]) for line in whole["lines"]]
    assert described == [
        (LABELS[0], "price", False, True),
        (LABELS[1], "below", False, True),
        (LABELS[2], "below", True, True),
    ]
    assert all(len(line["v"]) == len(whole["t"]) <= 1_500 for line in whole["lines"])
    assert whole["lines"][0]["v"][-1] == pytest.approx((closes[-2] + closes[-1]) / 2, rel=1e-6)
    start = whole["t"][0]
    near = candles(admin, address, f"?from={start}&to={start + 4 * 3600}").json
    expected = [(closes[i - 1] + closes[i]) / 2 for i in range(1, 5)]
    assert near["lines"][0]["v"] == [None, *(pytest.approx(one, rel=1e-6) for one in expected)]
    assert near["lines"][1]["v"][4] == pytest.approx(closes[4] / closes[3] * 100 - 100, abs=1e-5)
    assert near["lines"][2]["v"] == [0.0] * 5


def test_bars_that_came_later_have_no_line(admin, own, settings):
    address = own()
    table = results.bars(2_000, seed=0)
    half_an_hour_later = table.timestamp[:-1] + results.HOUR // 2
    between = results.bars(1_999, seed=3)
    BarStore(settings.bars_dir).merge("KRW-BTC", "1h", replace(between, timestamp=half_an_hour_later))
    first = candles(admin, address).json["t"][0]
    near = candles(admin, address, f"?from={first}&to={first + 3 * 3600}").json
    assert near["lines"][2]["v"] == [None, None, None, 0.0]


def test_a_damaged_file_is_said_to_be_damaged(admin, own, settings):
    address = own()
    (path,) = settings.results_dir.glob("backtests/*/strategy_lines.parquet")
    path.write_bytes(b"PAR1 nothing of use PAR1")
    answer = candles(admin, address)
    assert answer.status_code == 500
    assert "cannot be read" in answer.json["detail"]


FAILING = CODE.replace("    before =", "    raise ValueError('no <i>luck</i>')\n    before =")


def test_why_there_are_none_stands_on_the_page_and_in_the_log(admin, own):
    address = own(FAILING)
    assert candles(admin, address).json["lines"] == []
    assert "Lines of the strategy not drawn" in admin.get(address).text
    chart = admin.get(f"{address}/chart")
    said = "Lines failed: ValueError: no <i>luck</i>."
    assert said in chart.text
    assert said in admin.get(address).text
    assert "lines failed: ValueError" in admin.get(f"{address}/setup").text
    assert not chart.find("i")


def test_exports_have_the_lines(admin, own):
    address = own()
    task_id = uuid.UUID(address[-36:])
    answer = admin.client.get(f"/api/v1/backtests/{task_id}/export?format=zip")
    with zipfile.ZipFile(io.BytesIO(answer.get_data())) as archive:
        header, second, *_ = archive.read("strategy_lines.csv").decode().splitlines()
    assert header.split(",")[2:] == [f'"{label}"' for label in LABELS]
    assert second.startswith('"KRW-BTC",')
    whole = admin.client.get(f"/api/v1/backtests/{task_id}/export?format=json").get_json()
    assert len(whole["strategy_lines"]) == 2_000
    plain = admin.client.get(f"/api/v1/backtests/{task_id}/export?format=parquet-zip")
    with zipfile.ZipFile(io.BytesIO(plain.get_data())) as archive:
        assert "strategy_lines.parquet" in archive.namelist()


def test_a_million_bars(admin, own):
    """Cut to what a chart shows; single bars when zoomed."""
    address = own(count=1_000_000, step=results.HOUR // 60, timeframe="1m", end_date="2025-11-25")
    closes = results.bars(1_000_000, seed=0).close
    whole = candles(admin, address).json
    assert len(whole["t"]) == len(whole["lines"][0]["v"]) <= 1_500
    assert whole["lines"][0]["v"][-1] == pytest.approx((closes[-2] + closes[-1]) / 2, rel=1e-6)
    start = whole["range"][0] + 500_000 * 60
    near = candles(admin, address, f"?from={start}&to={start + 10 * 60}").json
    expected = (closes[499_999:500_010] + closes[500_000:500_011]) / 2
    assert near["lines"][0]["v"] == pytest.approx(expected.tolist(), rel=1e-6)


SERIES = """() => Charts.live.get(document.getElementById("candles-chart")).chart.panes()
    .map((pane) => pane.getSeries().filter((one) => one.seriesType() === "Line")
    .map((one) => one.data().filter((point) => point.value !== undefined).map((point) => point.value)))"""


def test_the_browser_draws_them(page: Page, own):
    address, closes = own(), results.bars(2_000, seed=0).close
    page.goto(f"{address}/chart")
    chart = page.locator("#candles-chart[data-drawn]")
    expect(chart.locator("canvas").first).to_be_visible()
    for label in LABELS:
        expect(chart.locator(".chart-legend")).to_contain_text(label)
    panes = page.evaluate(SERIES)
    assert [len(lines) for lines in panes[:3]] == [1, 0, 2]
    assert panes[0][0][-1] == pytest.approx((closes[-2] + closes[-1]) / 2, rel=1e-6)
    assert max(panes[2][1]) == min(panes[2][1]) == 0.0


def test_the_page_says_why_it_draws_none(page: Page, own):
    page.goto(f"{own(FAILING)}/chart")
    expect(page.locator("#candles-chart[data-drawn] canvas").first).to_be_visible()
    expect(page.locator("#lines-problem")).to_contain_text("Lines failed: ValueError: no <i>luck</i>.")
