"""Numbers and times as people read them, in the language of the page; `init_app` gives them to the templates.

A value that does not exist is shown as an en dash, never as NaN, None or a made-up zero.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from flask import Flask
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from markupsafe import Markup, escape

from webapp.language import current

MISSING: Final = "–"
COMPACT: Final = ((1e12, 1e12, "T"), (1e9, 1e9, "B"), (1e6, 1e6, "M"), (1e5, 1e3, "k"))
"""From which size on, divided by what, with which letter: below 100,000 every digit fits."""
MYRIADS: Final = ((1e12, 1e12, "조"), (1e8, 1e8, "억"), (1e5, 1e4, "만"))
"""The same in Korean, which counts in ten thousands."""
MONTHS: Final = (
    lazy_gettext("Jan"), lazy_gettext("Feb"), lazy_gettext("Mar"), lazy_gettext("Apr"),
    lazy_gettext("May"), lazy_gettext("Jun"), lazy_gettext("Jul"), lazy_gettext("Aug"),
    lazy_gettext("Sep"), lazy_gettext("Oct"), lazy_gettext("Nov"), lazy_gettext("Dec"),
)  # fmt: skip

Number = float | int | None


def is_missing(value: object) -> bool:
    """Whether there is no number to show."""
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def number(value: Number, digits: int = 2) -> str:
    """1234.5 -> 1,234.50; no negative zero."""
    if value is None or is_missing(value):
        return MISSING
    text = f"{value:,.{digits}f}"
    return text.removeprefix("-") if not text.strip("-0.,") else text


def count(value: Number) -> str:
    """1234 -> 1,234."""
    return number(value, 0)


def percent(value: Number, digits: int = 2) -> str:
    """A stored percent: 14.553 -> 14.55%."""
    return MISSING if is_missing(value) else f"{number(value, digits)}%"


def signed_percent(value: Number, digits: int = 2) -> str:
    """41.87 -> +41.87%, -1.37 -> -1.37%, 0 -> 0.00%."""
    return MISSING if is_missing(value) else f"{_plus(number(value, digits))}%"


def rate(value: Number) -> str:
    """A fraction as percent with as many digits as it needs: 0.0005 -> 0.05%."""
    return MISSING if value is None or is_missing(value) else f"{float(f'{value * 100:.8g}'):,.10g}%"


def signed(value: Number, digits: int = 0) -> str:
    """157752.3 -> +157,752."""
    return MISSING if is_missing(value) else _plus(number(value, digits))


def compact(value: Number) -> str:
    """14187215 -> 14.19M: few digits for the narrow places."""
    if value is None or is_missing(value):
        return MISSING
    for size, unit, letter in MYRIADS if current() == "ko" else COMPACT:
        if abs(value) >= size * 0.999995:  # 999,995 rounds to 1.00M
            shown = value / unit
            return f"{shown:,.{2 if abs(shown) < 999.995 else 0}f}{letter}"
    return number(value)


def price(value: Number) -> str:
    """A price or quantity with the digits that matter: 178,773,748 but 0.08041."""
    if value is None or is_missing(value):
        return MISSING
    if abs(value) >= 100_000:
        return number(value, 0)
    if abs(value) >= 1_000 or value == 0:
        return number(value, 2)
    if abs(value) < 1e-6:
        return f"{value:.3g}"
    whole_digits = math.floor(math.log10(abs(value))) + 1
    return f"{value:,.{min(max(6 - whole_digits, 2), 10)}f}"


def money(value: Number, currency: str, digits: int | None = None) -> str:
    """14187215.3 KRW -> 14,187,215 KRW; small amounts keep two digits."""
    if value is None or is_missing(value):
        return MISSING
    shown = number(value, (0 if abs(value) >= 100_000 else 2) if digits is None else digits)
    return f"{shown} {currency}".strip()


def duration(seconds: Number) -> str:
    """0.0034 -> 3 ms, 0.213 -> 0.21 s, 95 -> 1 min 35 s, 7200 -> 2 h, 200000 -> 2 d 7 h."""
    if seconds is None or is_missing(seconds):
        return MISSING
    if 0 < seconds < 0.01:
        return _("%(n)s ms", n=f"{seconds * 1000:.1g}")
    if seconds < 9.95:
        return _("%(n)s s", n=f"{max(seconds, 0):.2f}".rstrip("0").rstrip("."))
    days, rest = divmod(round(seconds), 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, rest = divmod(rest, 60)
    if days:
        parts = [_("%(n)s d", n=days)] + ([_("%(n)s h", n=hours)] if hours else [])
    elif hours:
        parts = [_("%(n)s h", n=hours)] + ([_("%(n)s min", n=minutes)] if minutes else [])
    elif minutes:
        parts = [_("%(n)s min", n=minutes)] + ([_("%(n)s s", n=rest)] if rest else [])
    else:
        parts = [_("%(n)s s", n=rest)]
    return " ".join(parts)


def ago(value: datetime | None, now: datetime | None = None) -> str:
    """How long since an instant: now, 7 min ago, 2 h ago, 3 d ago."""
    if value is None:
        return MISSING
    seconds = ((now or datetime.now(UTC)) - value).total_seconds()
    if seconds < 10:
        return _("now")
    if seconds >= 86_400:
        return _("%(n)s d ago", n=int(seconds // 86_400))
    if seconds >= 3_600:
        return _("%(n)s h ago", n=int(seconds // 3_600))
    if seconds >= 60:
        return _("%(n)s min ago", n=int(seconds // 60))
    return _("%(n)s s ago", n=int(seconds))


def day(value: date | datetime | str | None) -> str:
    """2024-10-16 -> 16 Oct 2024."""
    if value is None:
        return MISSING
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return _("%(day)s %(month)s %(year)s", day=value.day, month=month_name(value.month), year=value.year)


def month_name(number_: int) -> str:
    """1 -> Jan."""
    return str(MONTHS[number_ - 1])


def day_of_month(value: date) -> str:
    """2024-10-16 -> 16 Oct: where the year is known."""
    return _("%(day)s %(month)s", day=value.day, month=month_name(value.month))


def month_of_year(value: date) -> str:
    """2024-10-16 -> Oct 2024."""
    return _("%(month)s %(year)s", month=month_name(value.month), year=value.year)


def moment(value: datetime | None, zone: str, seconds: bool = False) -> str:
    """An instant in the person's time zone: 2025-10-09 21:00."""
    if value is None:
        return MISSING
    return f"{value.astimezone(ZoneInfo(zone)):{'%Y-%m-%d %H:%M:%S' if seconds else '%Y-%m-%d %H:%M'}}"


def zone_name(zone: str, at: datetime | None = None) -> str:
    """The short name of a time zone: Asia/Seoul -> KST."""
    return (at or datetime.now(UTC)).astimezone(ZoneInfo(zone)).tzname() or zone


def chart_seconds(value: datetime, zone: str) -> int:
    """An instant as the chart counts: seconds of the person's wall clock."""
    from webapp.localtime import to_chart

    return to_chart([int(value.timestamp())], zone)[0]


def utc_title(value: datetime) -> str:
    """The same instant in UTC, for the title."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def file_size(value: Number) -> str:
    """150000 -> 150 kB."""
    if value is None:
        return MISSING
    for size, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= size:
            return f"{value / size:.3g} {name}"
    return _("%(n)s bytes", n=f"{value:.0f}")


def currency(symbols: Sequence[str]) -> str:
    """The quote currency of the symbols: KRW-BTC -> KRW; empty when they differ."""
    quotes = {symbol.partition("-")[0] for symbol in symbols}
    return quotes.pop() if len(quotes) == 1 else ""


def spark_points(values: Sequence[float] | None, width: int = 96, height: int = 24) -> str:
    """Points of an SVG polyline that fills `width` x `height`; empty for fewer than two values."""
    if values is None or len(values) < 2:
        return ""
    low, high = min(values), max(values)
    scale = (height - 2) / (high - low) if high > low else 0.0
    step = width / (len(values) - 1)
    flat = height / 2 if high == low else height - 1
    return " ".join(f"{index * step:.1f},{flat - (value - low) * scale:.1f}" for index, value in enumerate(values))


def direction(value: Number) -> str:
    """gain, loss or nothing: told by sign and arrow as well, never by colour alone."""
    if value is None or is_missing(value) or abs(value) < 0.005:
        return ""
    return "gain" if value > 0 else "loss"


def missing(why: str) -> Markup:
    """The dash with its reason."""
    return Markup('<abbr class="missing" title="{}">{}</abbr>').format(why, MISSING)


def breakable(text: str) -> Markup:
    """A name or path that a narrow column may break after an underscore or a slash."""
    pieces = re.split(r"(?<=[_/])", text)
    return Markup("<wbr>").join(pieces)


def ago_element(value: datetime | None) -> Markup:
    """`ago` with the instant in UTC as title."""
    if value is None:
        return escape(MISSING)
    text = '<time class="ago" datetime="{}" title="{}">{}</time>'
    return Markup(text).format(value.astimezone(UTC).isoformat(), utc_title(value), ago(value))  # noqa: S704


def _plus(text: str) -> str:
    positive = not text.startswith("-") and text.strip("0.,")
    return f"+{text}" if positive else text


def init_app(app: Flask) -> None:
    """Register the filters under their own names."""
    for function in (
        ago_element, breakable, chart_seconds, compact, count, currency, day, direction, duration, file_size, missing,
        moment, money, number, percent, price, rate, signed, signed_percent, spark_points, utc_title, zone_name,
    ):  # fmt: skip
        app.add_template_filter(function, function.__name__)
    app.add_template_test(is_missing, "missing")
