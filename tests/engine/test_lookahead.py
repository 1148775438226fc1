"""A planted look-ahead strategy is caught; the shipped ones pass."""

import numpy as np
import pytest

from engine import lookahead
from engine.catalog import STRATEGIES
from engine.lookahead import check_lookahead
from engine.simulation import simulate
from engine.wishes import WishSource
from tests.engine.made import random_bars, spec_of
from tests.engine.planted import CATALOG

BARS = random_bars(np.random.default_rng(11), 120_000, spread=0.001)


@pytest.mark.parametrize("length", [1, 2, 50, 1000, 120_000])
@pytest.mark.parametrize("name", STRATEGIES)
def test_shipped_strategies_pass(name, length):
    bars = BARS.slice(0, length)
    spec = spec_of(name)
    report = check_lookahead(bars, spec, simulate(bars, spec).wishes)
    assert report.ok
    assert report.first_bar is None
    assert report == check_lookahead(bars, spec)


@pytest.mark.parametrize("length", [60, 1000, 120_000])
@pytest.mark.parametrize("name", ["tomorrow", "whole_run"])
def test_planted_ones_are_caught(name, length):
    report = check_lookahead(BARS.slice(0, length), spec_of(name), strategies=CATALOG)
    assert not report.ok
    assert 0 <= report.first_bar < length


def test_one_that_looks_ahead_only_late_in_a_long_run_is_caught():
    report = check_lookahead(BARS, spec_of("last_year"), strategies=CATALOG)
    assert not report.ok
    assert report.first_bar >= 50_000


def test_the_first_bar_that_differs_is_named():
    bars = BARS.slice(0, 400)
    spec = spec_of("tomorrow")
    full = simulate(bars, spec, strategies=CATALOG).wishes
    report = check_lookahead(bars, spec, strategies=CATALOG)
    assert full[report.first_bar] & 1  # the wish that owed itself to the next bar


def test_the_work_is_bounded(monkeypatch):
    done = []
    compute = WishSource.compute

    def counted(self, bars):
        done.append(len(bars))
        return compute(self, bars)

    spec = spec_of("sma_cross")
    wishes = simulate(BARS, spec).wishes
    monkeypatch.setattr(WishSource, "compute", counted)
    check_lookahead(BARS, spec, wishes)
    assert len(done) <= 2 * lookahead.CUTS
    assert sum(done) <= 0.2 * len(BARS)
