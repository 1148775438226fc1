"""Run again and verify: how far it is, what came of it, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypedDict
from uuid import UUID

from flask_babel import gettext as _

from storage_core.models import Backtest
from webapp.context.rows import ACTIVE, state_words
from webapp.filters import moment
from webapp.phrases import said

SHOWN_DIGITS: Final = 12
"""Of a digest."""


class Change(TypedDict):
    """Something that is not as it was."""

    what: str
    before: str
    now: str


class Verification(TypedDict):
    """`state` is none, active, identical, different, unreadable, failed or gone."""

    possible: bool
    state: str
    says: str
    where: str
    before: str
    now: str
    changes: Sequence[Change]
    run_id: UUID | None
    original_id: UUID | None


def ctx_verification(
    backtest: Backtest, again: Backtest | None, *, asked: bool, zone: str, now: datetime
) -> Verification:
    """Of `backtest`: `again` is the run that verifies it, itself when it is one; `asked` when there has been one."""
    facts: Mapping[str, Any] = (again.metadata_ or {}).get("verification", {}) if again is not None else {}
    state = _state(again, facts, asked=asked)
    first: Mapping[str, Any] = facts.get("first_difference") or {}
    itself = again is not None and again.task_id == backtest.task_id
    return {
        "possible": backtest.status == "completed" and backtest.source != "legacy",
        "state": state,
        "says": _says(state, again, facts, now),
        "where": _where(first, zone),
        "before": _value(first.get("was")),
        "now": _value(first.get("now")),
        "changes": changes(facts.get("changed") or {}),
        "run_id": again.task_id if again is not None and not itself else None,
        "original_id": UUID(facts["of"]) if itself and "of" in facts else None,
    }


def changes(changed: Mapping[str, Any]) -> list[Change]:
    """What the worker found changed, one line each."""
    words = {"strategy": _("code of the strategy"), "engine": _("code of the engine")}
    found = [_change(words[name], changed[name]) for name in words if name in changed]
    found += [_change(_("bars of %(symbol)s", symbol=name), pair) for name, pair in changed.get("data", {}).items()]
    return found + [_change(name, pair) for name, pair in changed.get("libraries", {}).items()]


def _change(what: str, pair: Sequence[str | None]) -> Change:
    before, now = ((one or _("not recorded"))[:SHOWN_DIGITS] for one in pair)
    return {"what": what, "before": before, "now": now}


def _state(again: Backtest | None, facts: Mapping[str, Any], *, asked: bool) -> str:
    if again is None:
        return "gone" if asked else "none"
    if again.status in ACTIVE:
        return "active"
    return str(facts.get("outcome", "failed")) if again.status == "completed" else "failed"


def _says(state: str, again: Backtest | None, facts: Mapping[str, Any], now: datetime) -> str:
    if again is not None and state == "active":
        return state_words(again, now)
    if again is not None and state == "failed":
        why = said(again.error_message or "") or _("it was cancelled")
        return _("The second run did not complete: %(why)s", why=why)
    return {
        "none": _("Runs the stored request again and compares every bar, trade and figure, bit for bit."),
        "gone": _("The run that verified it has been deleted. Verify again to know."),
        "identical": _identical(facts),
        "different": _("Different: the second run gave another result."),
        "unreadable": _("The stored result cannot be read: %(why)s", why=facts.get("reason", "")),
    }.get(state, state)


def _identical(facts: Mapping[str, Any]) -> str:
    """With what is to be said of lines that the strategy draws by itself."""
    figures = _("Identical: every bar, trade and figure, to the last bit.")
    lines = facts.get("lines")
    if lines == "identical":
        return _("Identical: every bar, trade, figure and line, to the last bit.")
    if lines == "restored":
        return " ".join((figures, _("Its lines had been lost and have been put back.")))
    if lines == "lost":
        why = said(facts.get("lines_reason", ""))
        return " ".join((figures, _("Its lines are lost and were not put back: %(why)s.", why=why)))
    return figures


def _where(first: Mapping[str, Any], zone: str) -> str:
    if not first:
        return ""
    if first["what"] == "lines":
        return _("the lines of the strategy")
    words = {"bar": _("bar"), "trade": _("trade"), "line": _("bar")}
    place = f"{first['symbol']}: {first['column']}"
    if first.get("index") is not None:
        name = words.get(first["what"], first["what"])
        place = _(
            "%(symbol)s, %(row)s %(number)s: %(column)s",
            symbol=first["symbol"],
            row=name,
            number=int(first["index"]) + 1,
            column=first["column"],
        )
    at = first.get("at")
    return place if at is None else f"{place} ({moment(datetime.fromisoformat(at), zone)})"


def _value(value: object) -> str:
    return _("nothing") if value is None else str(value)
