"""The trades tab: its filters as the address has them, its sortable heads, and what was wrong with the address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypedDict

from flask_babel import gettext as _

from webapp.phrases import said
from webapp.trades import OUTCOMES, SIDES, SORTS, Wanted

FILTERS: Final = ("symbol", "side", "outcome", "reason")
FALLING_FIRST: Final = ("number", "pnl", "return", "mfe", "bars", "quantity", "exit")


class Head(TypedDict):
    """One head of the table: its `query` sorts by it, the other way round when it does already; empty: it cannot."""

    name: str
    label: str
    help: str
    css: str
    order: str
    arrow: str
    query: Mapping[str, str]


class Choice(TypedDict):
    """One filter: a name, what it is called, and what can be chosen."""

    name: str
    label: str
    value: str
    options: Sequence[tuple[str, str]]


def read_wanted(args: Mapping[str, str], symbols: Sequence[str], reasons: Sequence[str]) -> tuple[Wanted, list[str]]:
    """What the address asks for, without what is not there, and a sentence for each of those."""
    allowed: dict[str, Sequence[str]] = {
        "symbol": symbols, "side": list(SIDES), "outcome": OUTCOMES, "reason": reasons,
        "sort": [sign + name for name in SORTS for sign in ("", "-")],
    }  # fmt: skip
    given, problems = {}, []
    for name, values in allowed.items():
        value = args.get(name, "")
        if value and value not in values:
            some = ", ".join(value for value in values if not value.startswith("-"))
            problems.append(
                _("%(name)s was %(value)s; allowed: %(allowed)s.", name=name, value=repr(value[:40]), allowed=some)
            )
        elif value:
            given[name] = value
    return Wanted(**given), problems


def query_of(wanted: Wanted) -> dict[str, str]:
    """The shortest query string that asks for the same."""
    return {name: value for name in (*FILTERS, "sort")
            if (value := getattr(wanted, name)) and value != getattr(Wanted(), name)}  # fmt: skip


def ctx_choices(wanted: Wanted, symbols: Sequence[str], reasons: Sequence[str]) -> list[Choice]:
    """The filters that can tell trades of this result apart."""
    outcomes = {"profit": _("with a profit"), "loss": _("with a loss"), "open": _("still open")}
    offered = [
        ("symbol", _("Symbol"), [(one, one) for one in symbols] if len(symbols) > 1 else []),
        ("side", _("Side"), [("long", _("long")), ("short", _("short"))]),
        ("outcome", _("Outcome"), [(name, outcomes[name]) for name in OUTCOMES]),
        ("reason", _("Exit by"), [(one, said(one)) for one in reasons]),
    ]
    return [{"name": name, "label": label, "value": getattr(wanted, name), "options": options}
            for name, label, options in offered if options]  # fmt: skip


def ctx_trade_heads(wanted: Wanted, *, several: bool, currency: str, zone: str) -> list[Head]:
    """The heads of the whole table, in order."""
    against = _("Maximum adverse excursion: how far it went against the trade")
    along = _("Maximum favourable excursion: how far it went with the trade")
    heads = [
        ("number", _("Entry (%(zone)s)", zone=zone), "", ""),
        *([("symbol", _("Symbol"), "", "")] if several else []),
        ("side", _("Side"), "", ""),
        ("exit", _("Exit"), "", ""),
        ("entry_price", _("Entry price"), "", "num"),
        ("exit_price", _("Exit price"), "", "num"),
        ("quantity", _("Quantity"), "", "num"),
        ("pnl", _("PnL") + (f", {currency}" if currency else ""), "", "num"),
        ("return", _("Return"), "", "num"),
        ("mae", _("MAE"), against, "num"),
        ("mfe", _("MFE"), along, "num"),
        ("costs", _("Costs"), "", "num"),
        ("bars", _("Bars"), "", "num"),
        ("reason", _("Exit by"), "", ""),
    ]
    return [_head(wanted, *head) for head in heads]


def _head(wanted: Wanted, name: str, label: str, help_: str, css: str) -> Head:
    sorted_by = wanted.sort.removeprefix("-") == name
    falling = wanted.sort.startswith("-")
    first = f"-{name}" if name in FALLING_FIRST else name
    other = name if falling else f"-{name}"
    query = query_of(wanted) | {"sort": other if sorted_by else first} if name in SORTS else {}
    order = ("descending" if falling else "ascending") if sorted_by else ""
    arrow = ("▾" if falling else "▴") if sorted_by else ""
    return {"name": name, "label": label, "help": help_, "css": css, "order": order, "arrow": arrow, "query": query}
