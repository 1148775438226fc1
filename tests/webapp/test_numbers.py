"""Numbers as they are typed and pasted, into forms and the filters of the list."""

from decimal import Decimal
from urllib.parse import quote

import pytest

from webapp.numbers import grouped, number_of, short_form


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("10,000", "10000"),
        ("1,234,567.89", "1234567.89"),
        ("10,00,000", "1000000"),
        ("1 000 000", "1000000"),
        ("1\u00a0000\u202f000", "1000000"),
        ("1'000.5", "1000.5"),
        ("-2,500", "-2500"),
        ("\N{MINUS SIGN}2,500", "-2500"),
        (" 0.05 % ", "0.05"),
        ("１２．５％", "12.5"),
        ("１０，０００", "10000"),
        ("1e4", "10000"),
    ],
)
def test_what_it_says_is_read(text, number):
    assert number_of(text) == Decimal(number)


@pytest.mark.parametrize(
    "text", ["0,1", "10,5", "0,100", "1,00", "1,0000", "1,000 000", "1.000.000", "12,34,5", "", "many", "inf", "1e999"]
)
def test_what_may_mean_another_number_is_none(text):
    assert number_of(text) is None


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("1,000,000", "1000000"),
        ("1\u202f000.50", "1000.5"),
        ("+２５ %", "25"),
        ("-0", "0"),
        ("1e3", "1000"),
        ("1e20", "1e+20"),
        ("0.1", "0.1"),
        ("1\u00a00", "1 0"),
        ("high", "high"),
    ],
)
def test_a_number_has_one_spelling_and_keeps_it(text, short):
    assert short_form(text) == short_form(short) == short


@pytest.mark.parametrize(
    ("text", "shown"),
    [("1000000", "1,000,000"), ("-1234.5", "-1,234.5"), ("0.001", "0.001"), ("1e+20",) * 2, ("x",) * 2],
)
def test_thousands_are_shown_apart_and_read_back(text, shown):
    assert grouped(text) == shown
    assert number_of(shown) == number_of(text)


@pytest.mark.parametrize("typed", ["-1,0", "1 0", "1,00", "0x10"])
def test_what_may_mean_another_number_is_refused_as_it_was_typed(admin, typed):
    page = admin.get(f"/backtests?sharpe_min={quote(typed)}", status=422)
    assert f"Was {typed}; allowed: a number" in page.error_of("filter-sharpe_min")
    assert page.by_id("filter-sharpe_min").get("value") == typed


@pytest.mark.parametrize("language", ["en", "ko"])
def test_numbers_in_groups_are_read_and_leave_the_address(admin, language):
    typed = "/backtests?final_equity_min=1%2C000%2C000&total_return_pct_max=%EF%BC%91%EF%BC%92.50%25&sort=-sharpe"
    short = "/backtests?total_return_pct_max=12.5&final_equity_min=1000000&sort=-sharpe"
    spoken = {"Accept-Language": language}
    answer = admin.client.get(typed, headers=spoken)
    assert (answer.status_code, answer.headers["Location"]) == (303, short)
    assert admin.client.get(typed, headers={**spoken, "HX-Request": "true"}).headers["HX-Push-Url"] == short
    page = admin.get(short, headers=spoken)
    assert page.by_id("filter-final_equity_min").get("value") == "1,000,000"
    assert "≥ 1,000,000" in page.text
