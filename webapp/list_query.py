"""What the address of the list asks for: filters, order, columns, page. Read kindly, written back short.

Names and values are those of the API (`/api/v1/backtests`), where the page has the same; days are the person's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, TypeVar
from urllib.parse import urlencode

from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict

from engine.spec import TIMEFRAMES
from storage_core.backtest_filters import Filters, Range
from storage_core.backtest_list import NEWEST, SORTS
from storage_core.models import STATUSES
from storage_core.models.backtest import METRIC_COLUMNS, SOURCES
from webapp.columns import COLUMNS, DEFAULT_COLUMNS
from webapp.numbers import grouped, number_of, short_form
from webapp.ranges import instants

PAGE_SIZES: Final = (25, 50, 100)
MOST_NAMED: Final = 20
LONGEST: Final = 200
RECENT: Final[Mapping[str, int]] = {"1d": 1, "7d": 7, "30d": 30, "90d": 90, "365d": 365}
"""Submitted in the last so many days: stays true in a saved view."""
CHOICES: Final[Mapping[str, Sequence[str]]] = {"status": STATUSES, "timeframe": tuple(TIMEFRAMES), "source": SOURCES}
NAMED: Final = ("strategy", "symbol", "timeframe", "status", "tag", "source")
BOUNDS: Final = tuple(f"{name}_{end}" for name in METRIC_COLUMNS for end in ("min", "max"))
SINGLE: Final = (
    "text", "submitted", "submitted_from", "submitted_to", "period_from", "period_to", "pinned", "shared", "owner",
)  # fmt: skip
FILTERS: Final = (*NAMED, *SINGLE, *BOUNDS)
_SPLIT: Final = ("symbol", "tag")
_SYMBOL: Final = re.compile(r"[A-Z0-9]{1,15}-[A-Z0-9]{1,15}")

Fields = Mapping[str, tuple[str, ...]]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Viewer:
    """Who looks: whose days the dates are, and which owners may be asked for, by name."""

    id: int
    zone: str
    owners: Mapping[str, int]


@dataclass(frozen=True)
class Asked:
    """One address, understood. `errors` has a sentence for each field that could not be."""

    fields: Fields
    filters: Filters
    sort: str
    size: int
    columns: tuple[str, ...]
    after: str | None
    before: str | None
    errors: Mapping[str, str]

    @property
    def filtered(self) -> bool:
        """Whether anything is asked of the rows."""
        return any(name in self.fields for name in FILTERS)

    def query(self, *, without: Sequence[str] = (), **changes: str | None) -> str:
        """The query string of this list with changes; the first page unless `after` or `before` is among them."""
        pairs = [(name, value) for name in FILTERS if name not in without for value in self.fields.get(name, ())]
        rest: dict[str, str | None] = {"sort": self.sort, "size": str(self.size), **changes}
        usual = {"sort": NEWEST, "size": str(PAGE_SIZES[0])}
        pairs += [(name, value) for name, value in rest.items() if value is not None and value != usual.get(name)]
        if self.columns != DEFAULT_COLUMNS:
            pairs += [("column", name) for name in self.columns]
        return urlencode(pairs)

    def column_query(self) -> str:
        """The part of the query string that chooses columns; empty for the usual ones."""
        return "" if self.columns == DEFAULT_COLUMNS else urlencode([("column", name) for name in self.columns])

    def respelt(self, args: MultiDict[str, str]) -> bool:
        """Whether the address that was read says something in another way: fields left empty, numbers in groups."""
        return "" in args.values() or any(args.getlist(name) != list(self.fields.get(name, ())) for name in BOUNDS)

    def here(self) -> str:
        """The query string of this very page."""
        return self.query(after=None if self.before else self.after, before=self.before)


def read(args: MultiDict[str, str], viewer: Viewer) -> Asked:
    """Understand an address; nothing in it raises."""
    fields, errors = _cleaned(args), {}
    reader = _Reader(fields, errors)
    filters = _filters(reader, viewer)
    sort = _first(fields, "sort") or NEWEST
    if sort not in SORTS:
        errors["sort"] = _no_order(sort)
        sort = NEWEST
    size = _first(fields, "size")
    wanted = tuple(name for name in COLUMNS if name in fields.get("column", ()))
    return Asked(
        fields=fields,
        filters=filters,
        sort=sort,
        size=int(size) if size in map(str, PAGE_SIZES) else PAGE_SIZES[0],
        columns=wanted or DEFAULT_COLUMNS,
        after=_first(fields, "after") or None,
        before=_first(fields, "before") or None,
        errors=errors,
    )


def _cleaned(args: MultiDict[str, str]) -> dict[str, tuple[str, ...]]:
    """Known names with what was given for them: trimmed, nothing empty, nothing twice."""
    cleaned = {}
    for name in (*FILTERS, "sort", "size", "column", "after", "before"):
        given: Iterable[str] = args.getlist(name)
        if name in _SPLIT:
            given = [part for text in given for part in text.split(",")]
        elif name in BOUNDS:
            given = [short_form(text) for text in given]
        kept = ["".join(filter(str.isprintable, text)).strip() for text in given]
        if name == "symbol":
            kept = [text.upper() for text in kept]
        if values := tuple(dict.fromkeys(text for text in kept if text)):
            cleaned[name] = values
    return cleaned


def _first(fields: Fields, name: str) -> str:
    return fields.get(name, ("",))[0]


def _was(was: str, allowed: str) -> str:
    return _("Was %(was)s; allowed: %(allowed)s.", was=was[:60], allowed=allowed)


def _no_order(sort: str) -> str:
    if sort.removeprefix("-") == "params":
        return _("Params have no order, as every strategy has its own. Sort by a metric.")
    columns = ", ".join(name for name in SORTS if not name.startswith("-"))
    return _(
        "Was %(was)s; allowed: %(columns)s; each with a minus sign for the reverse.", was=sort[:60], columns=columns
    )


class _Reader:
    """Reads fields one by one and keeps what was wrong with them."""

    def __init__(self, fields: Fields, errors: dict[str, str]) -> None:
        self.fields, self.errors = fields, errors

    def named(self, name: str) -> tuple[str, ...]:
        """Several values, each one that is allowed."""
        values = self.fields.get(name, ())
        allowed = CHOICES.get(name)
        for value in values:
            if allowed is not None and value not in allowed:
                self.errors[name] = _was(value, ", ".join(allowed))
            elif name == "symbol" and not _SYMBOL.fullmatch(value):
                self.errors[name] = _was(value, _("QUOTE-BASE such as KRW-BTC"))
            elif len(value) > LONGEST:
                self.errors[name] = _("Too long; allowed: %(most)s characters.", most=LONGEST)
        if len(values) > MOST_NAMED:
            self.errors[name] = _("%(count)s chosen; allowed: %(most)s.", count=len(values), most=MOST_NAMED)
        return () if name in self.errors else values

    def number(self, name: str) -> float | None:
        return self._one(name, _parsed_number, _("a number such as 1.5"))

    def day(self, name: str) -> date | None:
        return self._one(name, date.fromisoformat, _("a date such as 2024-12-31"))

    def flag(self, name: str) -> bool | None:
        return self._one(name, {"true": True, "false": False}.__getitem__, "true, false")

    def choice(self, name: str, allowed: Mapping[str, int]) -> int | None:
        return self._one(name, allowed.__getitem__, ", ".join(allowed))

    def text(self, name: str) -> str:
        text = _first(self.fields, name)
        if len(text) > LONGEST:
            self.errors[name] = _("Too long; allowed: %(most)s characters.", most=LONGEST)
        return text

    def _one(self, name: str, parse: Callable[[str], _T], allowed: str) -> _T | None:
        text = _first(self.fields, name)
        if not text:
            return None
        try:
            return parse(text)
        except (ValueError, KeyError):
            self.errors[name] = _was(text, allowed)
            return None


def _parsed_number(text: str) -> float:
    number = number_of(text)
    if number is None:
        raise ValueError(text)
    return float(number)


def _filters(reader: _Reader, viewer: Viewer) -> Filters:
    names = {name: reader.named(name) for name in NAMED}
    submitted = _submitted(reader, viewer.zone)
    period = reader.day("period_from"), reader.day("period_to")
    _ordered(reader, "period", *period)
    return Filters(
        owner_id=reader.choice("owner", viewer.owners),
        strategies=names["strategy"],
        statuses=names["status"],
        symbols=names["symbol"],
        timeframes=names["timeframe"],
        tags=names["tag"],
        sources=names["source"],
        pinned=reader.flag("pinned"),
        shared=reader.flag("shared"),
        submitted_from=submitted[0],
        submitted_to=submitted[1],
        period_from=period[0],
        period_to=period[1],
        metrics=_metrics(reader),
        text=reader.text("text"),
    )


def _submitted(reader: _Reader, zone: str) -> tuple[datetime | None, datetime | None]:
    """From the first instant of a day to the last of another, or the last so many days."""
    days = reader.choice("submitted", RECENT)
    first, last = reader.day("submitted_from"), reader.day("submitted_to")
    _ordered(reader, "submitted", first, last)
    start, end = (None if day is None else instants(day, day, zone)[which] for which, day in enumerate((first, last)))
    if days is not None:
        since = datetime.now(UTC).replace(microsecond=0) - timedelta(days=days)
        start = since if start is None else max(start, since)
    return start, end


def _ordered(reader: _Reader, name: str, first: date | None, last: date | None) -> None:
    if first is not None and last is not None and first > last:
        reader.errors[f"{name}_to"] = _("Is before the first day, %(first)s.", first=first.isoformat())


def _metrics(reader: _Reader) -> dict[str, Range]:
    found: dict[str, Range] = {}
    for name in METRIC_COLUMNS:
        low, high = reader.number(f"{name}_min"), reader.number(f"{name}_max")
        if low is not None and high is not None and low > high:
            reader.errors[f"{name}_max"] = _(
                "Is below the lowest, %(low)s.", low=grouped(reader.fields[f"{name}_min"][0])
            )
        elif low is not None or high is not None:
            found[name] = (low, high)
    return found
