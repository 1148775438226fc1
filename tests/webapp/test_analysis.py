"""The analysis of a result: its numbers by hand, and its charts as anybody can read them."""

import math
import re
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from webapp import analysis, plots
from webapp.analysis import ClosedTrades
from webapp.context.analysis import Subject, ctx_analysis
from webapp.curves import Curve

DAY = 86_400_000_000
SVG = "{http://www.w3.org/2000/svg}"


def micros(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000_000)


def trades(returns, *, reasons=None, entered=None) -> ClosedTrades:
    values = np.array(returns, dtype=float)
    count = len(values)
    stamps = np.array(entered if entered is not None else np.arange(count) * DAY, dtype=np.int64)
    return ClosedTrades(
        number=np.arange(1, count + 1), symbol=np.array(["KRW-BTC"] * count, dtype=object), entered=stamps,
        left=stamps + 1, return_pct=values, pnl=values * 10, mae_pct=-np.abs(values), mfe_pct=np.abs(values),
        reason=np.array(reasons or ["signal"] * count, dtype=object),
    )  # fmt: skip


@examples(deadline=None)
@given(st.lists(st.floats(-90, 900), min_size=2, max_size=300))
def test_a_histogram_counts_every_trade_once_and_has_an_edge_at_zero(values):
    edges, counts = analysis.histogram(np.array(values))
    assert counts.sum() == len(values)
    assert len(counts) <= analysis.MOST_BINS * 2
    assert np.all(np.diff(edges) > 0)
    inside = edges[0] <= 0 <= edges[-1]
    assert not inside or np.abs(edges).min() < 1e-9


def test_groups():
    found = analysis.grouped(trades([1, -2, 3, 0], reasons=["a", "b", "a", "b"]), np.array(["a", "b", "a", "b"]), "abc")
    assert [(group.name, group.count, group.wins, group.mean_pct, group.pnl) for group in found] == [
        ("a", 2, 2, 2.0, 40.0),
        ("b", 2, 0, -1.0, -20.0),
        ("c", 0, 0, None, 0.0),
    ]


def test_weekdays_and_hours_are_those_of_the_person():
    stamps = np.array([micros("2024-01-01T00:00"), micros("2024-01-07T23:30"), micros("2024-07-01T12:00")])
    days, hours = analysis.weekdays_and_hours(stamps, "UTC")
    assert (days.tolist(), hours.tolist()) == ([0, 6, 0], [0, 23, 12])
    days, hours = analysis.weekdays_and_hours(stamps, "Asia/Seoul")
    assert (days.tolist(), hours.tolist()) == ([0, 0, 0], [9, 8, 21])
    days, hours = analysis.weekdays_and_hours(stamps, "America/New_York")  # winter -5, summer -4
    assert (days.tolist(), hours.tolist()) == ([6, 6, 0], [19, 18, 8])


def test_daily_returns_repeat_over_days_without_bars():
    stamps = np.array([0, DAY // 2, DAY, 4 * DAY])
    days, found = analysis.daily_returns(Curve(stamps, np.array([100.0, 110.0, 121.0, 60.5])), 100.0, "UTC")
    assert days.tolist() == [0, 1, 2, 3, 4]
    assert found == pytest.approx([0.1, 0.1, 0.0, 0.0, -0.5])
    broke = analysis.daily_returns(Curve(stamps, np.array([100.0, 0.0, 1.0, 1.0])), 100.0, "UTC")
    assert len(broke[0]) == 0


def test_rolling_sharpe_is_the_sharpe_ratio_of_each_window():
    returns = np.random.default_rng(3).normal(0.001, 0.02, 120)
    found = analysis.rolling_sharpe(returns, 30, 365)
    assert len(found) == 91
    part = returns[50:80]
    assert found[50] == pytest.approx(part.mean() / part.std(ddof=1) * 365**0.5)
    assert np.isnan(analysis.rolling_sharpe(np.zeros(40), 30, 365)).all()
    assert [analysis.sharpe_window(days) for days in (89, 90, 400, 5000)] == [None, 30, 90, 365]


def test_of_many_trades_the_extremes_are_drawn():
    values = np.random.default_rng(1).normal(size=5_000)
    values[[1234, 2345]] = 50, -50
    kept = analysis.representative(trades(values), 300)
    assert len(kept) <= 300
    assert {1234, 2345} <= set(kept.tolist())
    assert len(analysis.representative(trades([1, 2]), 300)) == 2


@examples(deadline=None)
@given(st.floats(-1e9, 1e9), st.floats(0, 1e9), st.integers(2, 8))
def test_round_steps_cover_and_are_few(low, span, count):
    steps = plots.round_steps(low, low + span, count)
    nearly = max((steps[1] - steps[0]) * 1e-6, 4 * math.ulp(max(abs(low), abs(low + span))))
    assert steps[0] <= low + nearly
    assert steps[-1] >= low + span - nearly
    assert 2 <= len(steps) <= count * 2 + 3


def test_the_tab_draws_every_chart_with_its_table(admin, completed):
    page = admin.get(f"{completed(count=5_000, trades=300)}/analysis")
    for name in ("rolling", "returns", "excursions", "reasons", "weekdays", "hours"):
        (title,) = [element for element in page.elements if element.get("id") == f"{name}-svg"]
        assert "".join(title.itertext())
        assert page.find("section", aria_labelledby=f"{name}-title")[0].find(".//table") is not None
    svg = page.find(f"{SVG}svg", class_="plot")
    assert len(svg) == 6
    numbers = [float(value) for element in svg for part in element.iter() for name in ("x", "y", "cx", "cy")
               if (value := part.get(name))]  # fmt: skip
    assert all(-1 <= number <= 600 for number in numbers)
    dots = page.find(f"{SVG}circle")
    assert len(dots) == 299
    link = dots[0].get("data-href")
    assert re.search(r"/chart\?symbol=KRW-BTC&at=\d+&until=\d+$", link)
    counted = [int("".join(cell.itertext())) for cell in page.find("section", aria_labelledby="reasons-title")[0]
               .iterfind(".//tbody/tr/td[1]")]  # fmt: skip
    assert sum(counted) == 299


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_trades_are_enough_or_said_to_be_too_few(admin, completed, count):
    page = admin.get(f"{completed(trades=count)}/analysis")
    assert "Too few trades" in page.text
    assert "It needs at least 90 days" in page.text


def test_without_excursions_the_chart_says_so():
    known = trades([1.0, -2.0, 3.0])
    nothing = np.full(3, np.nan)
    blind = ClosedTrades(**{name: getattr(known, name) for name in known.__slots__} | {"mae_pct": nothing})
    curve = Curve(np.arange(200) * DAY, np.linspace(100.0, 120.0, 200))
    charts = {one.id: one for one in ctx_analysis(blind, curve, 100.0, Subject("UTC", 365, 2, "1d"))}
    assert charts["excursions"].plot is None
    assert "not recorded" in charts["excursions"].note
    assert charts["rolling"].plot is not None
    assert "hours" not in charts  # daily bars open at one hour only
    assert "weekdays" in charts
