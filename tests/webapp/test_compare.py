"""Comparing backtests: what the page says, what its chart gets, and what happens to ids that cannot be compared."""

import json
import uuid
from datetime import timedelta
from urllib.parse import unquote

import numpy as np
import pytest

from engine.metrics import METRICS
from storage_core.db import session_scope
from storage_core.models import Backtest
from tests.webapp import results
from webapp.comparison import START, first_difference, value_rows
from webapp.context.compared import best_of
from webapp.curves import EPOCH, Curve


@pytest.fixture
def three(engine, settings, users):
    """The same on KRW-BTC with 60 trades, with 40 trades, and with one more symbol."""
    ada = users["ada"]
    return [
        str(results.complete(engine, settings, owner_id=ada, trades=60, params={"fast": 10, "slow": 40})),
        str(results.complete(engine, settings, owner_id=ada, trades=40)),
        str(results.complete(engine, settings, owner_id=ada, trades=60, symbols=["KRW-BTC", "KRW-ETH"])),
    ]


def change(engine, task_id, **values):
    with session_scope(engine) as session:
        row = session.get(Backtest, uuid.UUID(task_id))
        for name, value in values.items():
            setattr(row, name, value)


def line(page, label):
    """The cells of the line with this label, in any table."""
    for row in page.find("tr"):
        cells = list(row)
        if "".join(cells[0].itertext()).strip() == label:
            return [" ".join("".join(cell.itertext()).split()) for cell in cells[1:]]
    raise AssertionError(f"no line {label}")


def test_the_best_is_marked_with_ties_and_gaps(admin, engine, three):
    change(engine, three[0], sharpe=1.0, max_drawdown_pct=30.0, sortino=None, win_rate_pct=50.0)
    change(engine, three[1], sharpe=2.0, max_drawdown_pct=10.0, sortino=1.0, win_rate_pct=50.0)
    change(engine, three[2], sharpe=2.0, max_drawdown_pct=20.0, sortino=0.5, win_rate_pct=50.0)
    page = admin.get("/compare", query_string={"ids": ",".join(three)})
    assert line(page, "Sharpe ratio") == ["1.00", "★best: 2.00", "★best: 2.00"]
    assert line(page, "Max drawdown") == ["30.00%", "★best: 10.00%", "20.00%"]
    assert line(page, "Sortino ratio") == ["–", "★best: 1.00", "0.50"]
    assert line(page, "Win rate") == ["50.00%"] * 3
    assert line(page, "Trades") == ["60", "40", "60"]


@pytest.mark.parametrize(
    ("values", "better", "best"),
    [
        ([1, 2, 2], "higher", {1, 2}),
        ([1, 2, 2], "lower", {0}),
        ([1, None, 3], "lower", {0}),
        ([None, None, 3], "higher", set()),
        ([2, 2, 2], "higher", set()),
        ([1, 2], None, set()),
        ([-3.5, -1.25], "higher", {1}),
    ],
)
def test_best_of(values, better, best):
    assert best_of(values, better) == best


def test_what_better_means_comes_from_the_table_of_metrics():
    assert {METRICS[name].better for name in ("sharpe", "total_return", "win_rate")} == {"higher"}
    assert {METRICS[name].better for name in ("max_drawdown", "volatility", "fees")} == {"lower"}
    assert METRICS["trade_count"].better is None


def test_settings_that_differ_stand_apart_from_those_that_do_not(admin, three):
    page = admin.get("/compare", query_string={"ids": ",".join(three)})
    assert line(page, "Fast average (bars)") == ["10", "24", "24"]
    assert line(page, "Symbols") == ["KRW-BTC", "KRW-BTC", "KRW-BTC, KRW-ETH"]
    shared = {"".join(term.itertext()) for term in page.find("dt")}
    assert {"Timeframe", "Strategy"} <= shared
    assert not {"Symbols", "Fast average (bars)"} & shared


def test_the_same_setup_twice_differs_in_nothing(admin, engine, settings, users):
    pair = [str(results.complete(engine, settings, owner_id=users["ada"])) for _ in range(2)]
    page = admin.get("/compare", query_string={"ids": ",".join(pair)})
    assert "the same setup was run more than once" in page.text
    assert "made the same 60 trades." in page.text


def test_the_first_trade_that_differs(admin, engine, settings, three):
    with session_scope(engine) as session:
        first, fewer, wider = (session.get(Backtest, uuid.UUID(one)) for one in three)
    found = first_difference(settings, first, fewer)
    assert (found.kind, found.equal) == ("differ", 1)
    assert (found.ours.number, found.theirs.number) == (2, 2)
    assert found.theirs.entry_at < found.ours.entry_at
    assert found.ours.entry_at == results.FIRST + timedelta(hours=int(np.linspace(0, 495, 40).astype(int)[1]))
    assert first_difference(settings, first, wider).kind == "same"
    page = admin.get("/compare", query_string={"ids": ",".join(three)})
    assert "differs at trade 2" in page.text
    assert "made the same 60 trades." in page.text


def test_one_that_ends_earlier_and_one_with_other_symbols(admin, engine, settings, users):
    ada = users["ada"]
    long, none = (results.complete(engine, settings, owner_id=ada, trades=count) for count in (12, 0))
    apart = results.complete(engine, settings, owner_id=ada, symbols=["KRW-XRP"])
    page = admin.get(f"/compare?ids={none}&ids={long}&ids={apart}")
    assert "no more trades" in page.text
    assert "has no symbol in common with A" in page.text


def test_the_chart_gets_curves_from_a_hundred(admin, three):
    answer = admin.client.get(f"/charts/compare.json?ids={','.join(three)}")
    series = answer.json["series"]
    assert [one["id"] for one in series] == three
    for one in series:
        assert len(one["t"]) == len(one["v"]) == len(one["d"]) == 500
        assert one["v"][0] == pytest.approx(START, abs=0.01)
        assert max(one["d"]) <= 0
    table = results.bars(500, seed=0)
    assert series[0]["v"][-1] == pytest.approx(results.equity(table)[-1] / results.CASH * 100, abs=1e-3)
    assert answer.json["range"] == [series[0]["t"][0], series[0]["t"][-1]]


def test_the_chart_is_cut_and_kept(admin, three):
    address = f"/charts/compare.json?ids={','.join(three)}"
    whole = admin.client.get(address)
    times = whole.json["series"][0]["t"]
    part = admin.client.get(f"{address}&from={times[100]}&to={times[199]}").json
    assert [len(one["t"]) for one in part["series"]] == [100] * 3
    assert part["range"] == whole.json["range"]
    again = admin.client.get(address, headers={"If-None-Match": whole.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    other = admin.client.get(f"/charts/compare.json?ids={','.join(three[:2])}")
    assert other.headers["ETag"] != whole.headers["ETag"]
    page = admin.get(f"/compare?ids={','.join(three)}")
    box = page.by_id("compare-chart")
    kept = admin.client.get(f"{box.get('data-src')}&v={box.get('data-version')}")
    assert "immutable" in kept.headers["Cache-Control"]


def test_many_points_are_sampled_with_their_extremes(admin, engine, settings, users):
    ids = [results.complete(engine, settings, owner_id=users["ada"], count=9_000, trades=3) for _ in range(2)]
    for one in admin.client.get(f"/charts/compare.json?ids={ids[0]},{ids[1]}").json["series"]:
        assert len(one["t"]) <= 2_000 < one["bars"]
        equity = results.equity(results.bars(9_000, seed=0)) / results.CASH * 100
        assert max(one["v"]) == pytest.approx(equity.max(), abs=1e-3)
        assert min(one["v"]) == pytest.approx(equity.min(), abs=1e-3)


def test_ids_that_cannot_be_compared_are_said_to_be(admin, trader, engine, users, three):
    running = results.queue(engine, owner_id=users["ada"])
    page = admin.get(f"/compare?ids={three[0]},{three[1]},{running},{uuid.uuid4()},nonsense")
    assert "is queued: only completed backtests can be compared" in page.text
    assert "There is no backtest" in page.text
    assert "nonsense is neither the id of a backtest nor its address" in page.text
    assert line(page, "Trades") == ["60", "40"]
    foreign = trader.get(f"/compare?ids={three[0]},{three[1]}", status=422)
    assert foreign.text.count("or it belongs to somebody else") == 2
    assert not foreign.find("table")
    assert trader.client.get(f"/charts/compare.json?ids={three[0]}").status_code == 404


def test_too_few_and_too_many(admin, engine, settings, users, three):
    assert "Tick two to ten completed backtests" in admin.get("/compare").text
    assert "Two are needed" in admin.get(f"/compare?ids={three[0]}").text
    assert "Two are needed" in admin.get(f"/compare?ids={three[0]},{three[0]}").text
    more = [str(results.complete(engine, settings, owner_id=users["ada"], trades=2, count=60)) for _ in range(8)]
    page = admin.get("/compare", query_string={"ids": ",".join(three + more)})
    assert "Only the first 10 are shown" in page.text
    assert len(line(page, "Trades")) == 10


def test_one_is_added_and_taken_out(admin, three):
    page = admin.get(f"/compare?ids={three[0]},{three[1]}")
    assert [option.get("value") for option in page.by_id("add").iter("option")] == [three[2]]
    (taken,) = [link for link in page.find("a") if "Take A" in (link.get("aria-label") or "")]
    assert taken.get("href").replace("%2C", ",") == f"/compare?ids={three[1]}"
    both = admin.get(f"/compare?ids={three[0]}&ids=http://localhost/backtests/{three[1]}/trades")
    assert len(line(both, "Trades")) == 2


def test_a_result_whose_files_are_gone_leaves_the_rest_readable(admin, settings, engine, three):
    with session_scope(engine) as session:
        folder = session.get(Backtest, uuid.UUID(three[1])).parquet_path
    for path in (settings.results_dir / folder).glob("*.parquet"):
        path.unlink()
    page = admin.get("/compare", query_string={"ids": ",".join(three)})
    assert "cannot be read" in page.text
    assert line(page, "Trades") == ["60", "40", "60"]


def test_values_in_numbers_end_where_a_curve_ends():
    hour = 3_600_000_000
    first = Curve(np.arange(0, 24 * hour, hour), np.linspace(100, 123, 24))
    later = Curve(np.arange(12 * hour, 36 * hour, hour), np.full(24, 50.0))
    table = value_rows([first, later])
    assert table[0] == (EPOCH, [100.0, None])
    assert table[-1] == (EPOCH + timedelta(hours=35), [None, 50.0])
    assert all(json.dumps(values) for _, values in table)
    assert value_rows([Curve(np.empty(0, np.int64), np.empty(0))]) == []


def test_adding_and_taking_out_swaps_the_comparison_alone(admin, three):
    page = admin.get("/compare", query_string={"ids": three}, htmx=True)
    assert not page.whole
    assert page.find("title")[0].text == "Compare 3 backtests · coin-hts"
    assert {one.get("hx-target") for one in page.find("a", class_="icon-btn")} == {"#compare"}
    answer = admin.client.get("/compare", query_string={"ids": three}, headers={"HX-Request": "true"})
    assert unquote(answer.headers["HX-Push-Url"]) == f"/compare?ids={','.join(three)}"
    assert "HX-Request" in answer.vary
    assert admin.client.get("/compare", headers={"HX-Request": "true"}).headers["HX-Push-Url"] == "/compare"


NESTED = {"weights": {"KRW-BTC": 0.5, "이름": [1, {"deep": None}]}, "이동평균_기간": 12, "word": "x" * 200}


def test_long_and_nested_params_of_other_systems_are_readable(admin, engine, three):
    with session_scope(engine) as session:
        row = session.get(Backtest, uuid.UUID(three[2]))
        row.strategy, row.params = "theirs", NESTED
        row.spec = {**row.spec, "strategy": "theirs", "params": NESTED}
    page = admin.get("/compare", query_string={"ids": three})
    assert line(page, "weights") == ["–", "–", '{"KRW-BTC": 0.5, "이름": [1, {"deep": null}]}']
    assert line(page, "이동평균_기간")[2] == "12"
    side = next(one for one in page.find("span", class_="muted") if "이름" in "".join(one.itertext()))
    assert "".join(side.itertext()) == f'{{"KRW-BTC": 0.5, "이름": [1, {{"de…, 12, {"x" * 31}… · KRW-BTC, KRW-ETH · 1h'
    assert "x" * 200 in admin.get(f"/backtests/{three[2]}/setup").text
    assert admin.get("/backtests").find("td", title=f'weights {json.dumps(NESTED["weights"], ensure_ascii=False)}, '
                                        f'이동평균_기간 12, word {"x" * 200}')  # fmt: skip
