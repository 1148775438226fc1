"""Chart data: what it holds, how it is cut, how it is kept."""

import uuid
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from engine.catalog import STRATEGIES
from storage_core.bar_store import BarStore
from storage_core.db import session_scope
from storage_core.models import Backtest
from tests.webapp import results
from webapp.candle_charts import MOST_MARKERS


def chart(address: str, kind: str) -> str:
    return f"/charts/{address.rpartition('/')[2]}/{kind}.json"


@pytest.fixture
def long_result(completed) -> str:
    return completed(count=9_000, trades=40)


def test_equity_holds_every_extreme_in_few_points(admin, long_result):
    data = admin.json(chart(long_result, "equity")).json
    table = results.bars(9_000, seed=0)
    equity = results.equity(table)
    held = results.CASH * table.close / table.close[0]
    assert len(data["t"]) == len(data["equity"]) == len(data["hold"]) == len(data["drawdown"]) <= 2_000
    assert max(data["equity"]) == pytest.approx(equity.max(), rel=1e-6)
    assert min(data["equity"]) == pytest.approx(equity.min(), rel=1e-6)
    assert data["equity"][-1] == pytest.approx(equity[-1], rel=1e-6)
    assert max(data["hold"]) == pytest.approx(held.max(), rel=1e-6)
    worst = (equity / np.maximum(np.maximum.accumulate(equity), results.CASH) - 1).min() * 100
    assert min(data["drawdown"]) == pytest.approx(worst, rel=1e-4)
    assert data["bars"] == 9_000
    assert sorted(set(data["t"])) == data["t"]


def test_times_are_the_persons_wall_clock(admin, long_result):
    data = admin.json(chart(long_result, "equity")).json
    assert datetime.fromtimestamp(data["t"][0], UTC) == results.FIRST + timedelta(hours=9)


def test_zoom_gives_every_bar_of_a_short_range(admin, long_result):
    whole = admin.json(chart(long_result, "equity")).json
    start = whole["t"][0] + 1000 * 3600
    data = admin.json(f"{chart(long_result, 'equity')}?from={start}&to={start + 100 * 3600}").json
    assert data["t"] == list(range(start, start + 101 * 3600, 3600))
    assert data["range"] == whole["range"] == [whole["t"][0], whole["t"][-1]]
    exact = results.equity(results.bars(9_000, seed=0))[1000:1101]
    assert data["equity"] == pytest.approx(exact.tolist(), rel=1e-6)


def test_candles_are_joined_and_zoom_to_bars(admin, long_result):
    data = admin.json(chart(long_result, "candles")).json
    table = results.bars(9_000, seed=0)
    assert len(data["t"]) <= 1_500
    assert not data["complete"]
    assert max(data["h"]) == pytest.approx(table.high.max(), rel=1e-8)
    assert min(data["l"]) == pytest.approx(table.low.min(), rel=1e-8)
    assert sum(data["v"]) == pytest.approx(table.volume.sum(), rel=1e-4)
    assert len(data["marks"]) == 79
    near = admin.json(f"{chart(long_result, 'candles')}?from={data['t'][0]}&to={data['t'][0] + 50 * 3600}").json
    assert near["complete"]
    assert len(near["t"]) == 51
    assert near["o"] == pytest.approx(table.open[:51].tolist(), rel=1e-8)
    kinds = {(kind, side) for _, kind, side, _ in near["marks"]}
    assert kinds == {("entry", "buy"), ("exit", "sell")}
    assert {mark[0] for mark in near["marks"]} <= set(near["t"])


def test_too_many_fills_are_counted_instead_of_drawn(admin, completed):
    data = admin.json(chart(completed(count=2_000, trades=MOST_MARKERS), "candles")).json
    assert data["marks"] == []
    assert data["hidden"] == 2 * MOST_MARKERS - 1


def test_several_symbols_are_summed_and_chosen(admin, completed):
    address = completed(symbols=["KRW-BTC", "KRW-ETH"], count=300)
    data = admin.json(chart(address, "equity")).json
    both = results.equity(results.bars(300, seed=0)) + results.equity(results.bars(300, seed=1))
    assert data["equity"] == pytest.approx(both.tolist(), rel=1e-6)
    candles = admin.json(f"{chart(address, 'candles')}?symbol=KRW-ETH").json
    assert candles["c"] == pytest.approx(results.bars(300, seed=1).close.tolist(), rel=1e-8)
    refused = admin.json(f"{chart(address, 'candles')}?symbol=KRW-XRP")
    assert refused.status_code == 400
    assert "KRW-BTC, KRW-ETH" in refused.json["detail"]


def test_a_known_answer_is_not_sent_again(admin, long_result):
    version = admin.get(long_result).by_id("equity-chart").get("data-version")
    address = f"{chart(long_result, 'equity')}?v={version}"
    first = admin.client.get(address, headers={"Accept-Encoding": "gzip"})
    assert first.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    tag = first.headers["ETag"]
    assert not tag.startswith("W/")
    again = admin.client.get(address, headers={"If-None-Match": tag, "Accept-Encoding": "gzip"})
    assert (again.status_code, again.data) == (304, b"")
    plain = admin.client.get(address, headers={"If-None-Match": tag.replace(":gzip", "")})
    assert plain.status_code == 304
    other = admin.client.get(f"{address}&from=1704100000", headers={"If-None-Match": tag})
    assert other.status_code == 200
    assert other.headers["ETag"] != tag


def test_an_address_without_the_version_is_asked_for_again(admin, long_result):
    answer = admin.client.get(chart(long_result, "equity"))
    assert answer.headers["Cache-Control"] == "private, no-cache"


def test_other_bars_are_another_version(admin, long_result, settings):
    before = admin.get(long_result).by_id("equity-chart").get("data-version")
    BarStore(settings.bars_dir).merge("KRW-BTC", "1h", results.bars(10, start=results.FIRST - timedelta(hours=10)))
    assert admin.get(long_result).by_id("equity-chart").get("data-version") != before


def test_people_in_other_zones_get_other_times(admin, trader, engine, settings, users):
    address = f"/backtests/{results.complete(engine, settings, owner_id=None, source='sample')}"
    ours, theirs = (who.client.get(chart(address, "equity")) for who in (admin, trader))
    assert ours.headers["ETag"] != theirs.headers["ETag"]
    assert ours.json["t"][0] - theirs.json["t"][0] == 9 * 3600


def test_without_the_bars_equity_stays_and_candles_say_why(admin, long_result, settings):
    (settings.bars_dir / "KRW-BTC_1h.parquet").unlink()
    assert "hold" not in admin.json(chart(long_result, "equity")).json
    gone = admin.json(chart(long_result, "candles"))
    assert gone.status_code == 404
    assert "not stored here any more" in gone.json["detail"]


@pytest.mark.parametrize("query", ["from=abc", "from=nan", "to=-1", "to=1e99", "from=20&to=10", "from=inf"])
@pytest.mark.parametrize("kind", ["equity", "candles"])
def test_a_bad_window_is_refused(admin, completed, kind, query):
    answer = admin.json(f"{chart(completed(), kind)}?{query}")
    assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")


def test_a_window_beside_the_result_is_empty_or_said_to_be(admin, long_result):
    assert admin.json(f"{chart(long_result, 'equity')}?to=1000").json["t"] == []
    assert admin.json(f"{chart(long_result, 'candles')}?to=1000").status_code == 404


def test_what_has_no_result_has_no_chart(admin, engine, users):
    task_id = results.queue(engine, owner_id=users["ada"])
    answer = admin.json(f"/charts/{task_id}/equity.json")
    assert answer.status_code == 404
    assert "queued" in answer.json["detail"]


def test_a_damaged_result_is_said_to_be_damaged(admin, long_result, settings):
    (path,) = settings.results_dir.glob("backtests/*/performance_curve.parquet")
    path.write_bytes(b"PAR1 nothing of use PAR1")
    answer = admin.json(chart(long_result, "equity"))
    assert answer.status_code == 500
    assert "cannot be read" in answer.json["detail"]
    admin.get(long_result, status=500)
    path.unlink()
    assert admin.json(chart(long_result, "equity")).status_code == 404


def test_the_lines_of_the_strategy_come_with_the_candles(admin, long_result):
    closes = results.bars(9_000, seed=0).close
    whole = admin.json(chart(long_result, "candles")).json
    assert [(line["label"], line["pane"]) for line in whole["lines"]] == [("Mean 24", "price"), ("Mean 96", "price")]
    assert whole["lines"][1]["v"][-1] == pytest.approx(closes[-96:].mean(), rel=1e-6)
    assert all(len(line["v"]) == len(whole["t"]) for line in whole["lines"])
    start = whole["t"][0] + 500 * 3600
    near = admin.json(f"{chart(long_result, 'candles')}?from={start}&to={start + 9 * 3600}").json
    expected = [closes[i - 23 : i + 1].mean() for i in range(500, 510)]
    assert near["lines"][0]["v"] == pytest.approx(expected, rel=1e-6)
    first = admin.json(f"{chart(long_result, 'candles')}?to={whole['t'][0] + 30 * 3600}").json
    assert first["lines"][0]["v"][:23] == [None] * 23
    assert first["lines"][0]["v"][23] is not None


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_every_strategy_has_a_chart(admin, completed, strategy):
    address = completed(strategy=strategy, params={})
    data = admin.json(chart(address, "candles")).json
    assert bool(data["lines"]) == (strategy != "buy_and_hold")
    for line in data["lines"]:
        assert any(value is not None for value in line["v"])
    again = admin.json(f"{chart(address, 'candles')}?from={data['t'][300]}").json
    for line, part in zip(data["lines"], again["lines"], strict=True):
        assert part["v"][-1] == pytest.approx(line["v"][-1], rel=1e-6)


def test_equity_and_drawdown_stand_below_the_candles(admin, long_result):
    data = admin.json(chart(long_result, "candles")).json
    equity = results.equity(results.bars(9_000, seed=0))
    falls = (equity / np.maximum(np.maximum.accumulate(equity), results.CASH) - 1) * 100
    assert len(data["equity"]) == len(data["drawdown"]) == len(data["t"])
    assert data["equity"][-1] == pytest.approx(equity[-1], rel=1e-6)
    assert min(data["drawdown"]) == pytest.approx(falls.min(), rel=1e-4)
    start = data["t"][0] + 1_000 * 3600
    near = admin.json(f"{chart(long_result, 'candles')}?from={start}&to={start + 20 * 3600}").json
    assert near["equity"] == pytest.approx(equity[1000:1021].tolist(), rel=1e-6)
    assert near["drawdown"] == pytest.approx(falls[1000:1021].tolist(), rel=1e-3, abs=1e-6)


def test_from_trade_to_trade(admin, long_result):
    address = chart(long_result, "trade")
    first = admin.json(f"{address}?after=0").json
    assert first == {"at": 1704099600, "until": 1704099600 + 3 * 3600}
    seen, at = [], 0
    while (answer := admin.json(f"{address}?after={at}")).status_code == 200:
        at = answer.json["at"]
        seen.append(at)
    assert answer.status_code == 204
    assert len(seen) == 40
    assert admin.json(f"{address}?before={seen[7]}").json["at"] == seen[6]
    assert admin.json(f"{address}?before={seen[0]}").status_code == 204
    for query in ("", "?after=1&before=2", "?after=x", "?after=1&symbol=KRW-XRP"):
        assert admin.json(address + query).status_code == 400, query


def test_charts_know_which_symbols_count(admin, engine, settings, users, completed):
    address = completed(symbols=["KRW-BTC", "KRW-ETH"], count=300)
    before = admin.get(address).by_id("equity-chart").get("data-version")
    with session_scope(engine) as session:
        row = session.get_one(Backtest, uuid.UUID(address[-36:]))
        row.metadata_ = {**row.metadata_, "active_symbols": {"symbols": ["KRW-ETH"], "metrics": {}}}
    assert admin.get(address).by_id("equity-chart").get("data-version") != before
    data = admin.json(chart(address, "equity")).json
    assert data["equity"] == pytest.approx(results.equity(results.bars(300, seed=1)).tolist(), rel=1e-6)
