"""Numbers as people type and paste them."""

import re
import unicodedata
from decimal import Decimal, InvalidOperation
from typing import Final

# Thousands apart by one kind of mark: 1,000,000 and 1 000 000, and 10,00,000 as in India. What stands before a lone
# comma that parts no thousands may be a decimal comma: 0,1 is not read as 1.
GROUPED: Final = re.compile(r"[+-]?[1-9]\d{0,2}([ ,'’_])(?:\d{2,3}\1)*\d{3}(?:\.\d*)?")


def number_of(text: str) -> Decimal | None:
    """The number that a field says, or None: with thousands apart, a percent sign, or the wide digits of an IME."""
    plain = unicodedata.normalize("NFKC", text).replace("\N{MINUS SIGN}", "-").strip().removesuffix("%").strip()
    if mark := GROUPED.fullmatch(plain):
        plain = plain.replace(mark[1], "")
    try:
        number = Decimal(plain)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) <= 300 else None


def short_form(text: str) -> str:
    """One spelling for every way to write a number, as it stands in an address: 1,000.50 -> 1000.5; else the text."""
    if (number := number_of(text)) is None:
        return unicodedata.normalize("NFKC", text)
    return repr(float(number) + 0.0).removesuffix(".0")  # + 0.0: no negative zero


def grouped(text: str) -> str:
    """A number with thousands apart, as people read it: 1000000 -> 1,000,000; else the text."""
    number = number_of(text)
    return text if number is None or "e" in text.lower() else f"{number:,f}"
