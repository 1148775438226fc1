"""Numbers as they are typed and pasted."""

from decimal import Decimal

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
