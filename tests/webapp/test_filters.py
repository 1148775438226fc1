"""Numbers and times as people read them."""

from datetime import UTC, date, datetime, timedelta
from math import inf, nan

import pytest

from webapp import filters

NOW = datetime(2025, 10, 9, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(1234.5, 2, "1,234.50"), (0.0, 2, "0.00"), (-0.001, 2, "0.00"), (-1.005, 1, "-1.0"),
     (1e15, 0, "1,000,000,000,000,000"), (None, 2, "–"), (nan, 2, "–"), (inf, 2, "–"), (-inf, 0, "–"), (3, 0, "3")],
)  # fmt: skip
def test_number(value, digits, text):
    assert filters.number(value, digits) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(41.873, "+41.87%"), (-1.3701, "-1.37%"), (0, "0.00%"), (-0.001, "0.00%"), (0.004, "0.00%"),
     (1234.5, "+1,234.50%"), (None, "–"), (nan, "–")],
)  # fmt: skip
def test_signed_percent(value, text):
    assert filters.signed_percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0005, "0.05%"), (0.001, "0.1%"), (0.1 + 0.2, "30%"), (0, "0%"), (1, "100%"), (None, "–")]
)
def test_rate_has_no_float_noise(value, text):
    assert filters.rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(14_187_215, "14.19M"), (999_999, "1.00M"), (860_212, "860.21k"), (10_772.57, "10,772.57"), (0, "0.00"),
     (-2_500_000_000, "-2.50B"), (1e13, "10.00T"), (None, "–"), (99_999.999, "100.00k")],
)  # fmt: skip
def test_compact(value, text):
    assert filters.compact(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(178_773_748.4, "178,773,748"), (99_999.5, "99,999.50"), (1.5, "1.50000"), (0.0804141, "0.0804141"), (0, "0.00"),
     (4.2e-13, "4.2e-13"), (-12.5, "-12.5000"), (None, "–"), (nan, "–")],
)  # fmt: skip
def test_price_keeps_the_digits_that_matter(value, text):
    assert filters.price(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.213, "0.21 s"), (0.0034, "3 ms"), (0, "0 s"), (-1, "0 s"), (9.96, "10 s"), (59.6, "1 min"), (95, "1 min 35 s"),
     (7200, "2 h"), (7260, "2 h 1 min"), (200_000, "2 d 7 h"), (None, "–")],
)  # fmt: skip
def test_duration(seconds, text):
    assert filters.duration(seconds) == text


@pytest.mark.parametrize(
    ("age", "text"),
    [(-5, "now"), (9, "now"), (44, "44 s ago"), (420, "7 min ago"), (7300, "2 h ago"), (260_000, "3 d ago")],
)
def test_ago(age, text):
    assert filters.ago(NOW - timedelta(seconds=age), NOW) == text


def test_times_are_shown_in_the_persons_zone_with_utc_beside():
    assert filters.moment(NOW, "Asia/Seoul") == "2025-10-09 21:00"
    assert filters.zone_name("Asia/Seoul", NOW) == "KST"
    assert filters.utc_title(NOW) == "2025-10-09 12:00:00 UTC"
    assert filters.moment(None, "UTC") == "–"
    element = filters.ago_element(NOW)
    assert 'datetime="2025-10-09T12:00:00+00:00"' in element
    assert 'title="2025-10-09 12:00:00 UTC"' in element


def test_day():
    assert filters.day(date(2024, 10, 6)) == "6 Oct 2024"
    assert filters.day("2024-10-16") == "16 Oct 2024"
    assert filters.day(None) == "–"


def test_currency_only_when_the_symbols_agree():
    assert filters.currency(["KRW-BTC", "KRW-ETH"]) == "KRW"
    assert filters.currency(["KRW-BTC", "USDT-ETH"]) == ""


def test_money():
    assert filters.money(14_187_215.3, "KRW") == "14,187,215 KRW"
    assert filters.money(12.5, "USD") == "12.50 USD"
    assert filters.money(None, "USD") == "–"


def test_sparkline_fills_its_box_and_bears_flat_and_short_curves():
    points = [tuple(map(float, pair.split(","))) for pair in filters.spark_points([1.0, 3.0, 2.0]).split()]
    assert points[0] == (0.0, 23.0)
    assert points[1] == (48.0, 1.0)
    assert points[2][0] == 96.0
    assert {pair.split(",")[1] for pair in filters.spark_points([5.0, 5.0]).split()} == {"12.0"}
    assert filters.spark_points([1.0]) == filters.spark_points(None) == ""


def test_direction_is_told_only_when_it_shows():
    assert [filters.direction(value) for value in (0.01, -0.01, 0.004, None, nan)] == ["gain", "loss", "", "", ""]


def test_missing_escapes_its_reason():
    assert "<script>" not in filters.missing("<script>")
