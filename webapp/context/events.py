"""The log of a backtest in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypedDict

from flask_babel import gettext
from flask_babel import lazy_gettext as _

from storage_core.backtests import MAX_ATTEMPTS
from storage_core.models import BacktestEvent
from webapp.filters import duration
from webapp.phrases import said

EVENT_WORDS: Final[Mapping[str, str]] = {
    "submitted": _("Submitted"),
    "claimed": _("Started"),
    "requeued": _("Queued again"),
    "released": _("Given back"),
    "completed": _("Completed"),
    "failed": _("Failed"),
    "cancel_requested": _("Asked to stop"),
    "cancelled": _("Cancelled"),
    "retried": _("Another chance"),
    "discarded": _("Dead letter discarded"),
    "imported": _("Imported from the legacy system"),
    "adopted": _("Result found and adopted"),
    "side_missing": _("Stored in part"),
    "repaired": _("Repaired"),
    "deleted": _("Deleted"),
    "restored": _("Restored"),
    "verify_asked": _("Run again to verify"),
    "lines_missing": _("Lines of the strategy not drawn"),
}
"""What each kind of event is called; `storage_core.events.Kind` is the list of them."""
BY_PEOPLE: Final = frozenset({"cancel_requested", "retried", "discarded", "deleted", "restored", "verify_asked"})
OF_ATTEMPTS: Final = frozenset({"claimed", "requeued", "released", "completed", "failed", "adopted", "side_missing"})


class Event(TypedDict):
    """One line of the log."""

    at: datetime
    words: str
    detail: str


def ctx_events(events: Sequence[BacktestEvent]) -> list[Event]:
    """The log in words. An attempt is counted as the backtest does: without those that were no fault of its own."""
    lines: list[Event] = []
    excused = 0
    for event in events:
        tries = event.attempt - excused if event.attempt and event.kind in OF_ATTEMPTS else None
        words = str(EVENT_WORDS.get(event.kind, event.kind))
        lines.append({"at": event.at, "words": words, "detail": _detail(event, tries)})
        if event.kind == "released" and (event.detail or {}).get("counts") is False:
            excused += 1
        if event.kind == "retried":
            excused = event.attempt or excused
    return lines


def _detail(event: BacktestEvent, tries: int | None) -> str:
    detail: Mapping[str, Any] = event.detail or {}
    words = [gettext("attempt %(n)s of %(most)s", n=tries, most=MAX_ATTEMPTS)] if tries else []
    if silent := detail.get("silent_for_seconds"):
        words.append(gettext("no sign of life for %(time)s", time=duration(silent)))
    words += [_plain(detail[name]) for name in ("reason", "message", "done") if detail.get(name)]
    if event.kind == "side_missing":
        words += [
            gettext("%(side)s could not be written: %(why)s", side=side, why=said(str(why)))
            for side, why in detail.items()
        ]
    if wait := detail.get("again_in_seconds"):
        words.append(gettext("again in %(time)s", time=duration(wait)))
    return " · ".join([*words, *_who(event)])


def _who(event: BacktestEvent) -> list[str]:
    if event.kind == "claimed":
        who = gettext("by %(name)s", name=event.actor) if event.actor else gettext("on %(name)s", name=event.host)
        return [who]
    by_person = event.kind in BY_PEOPLE or (event.kind == "cancelled" and not event.attempt)
    return [gettext("by %(name)s", name=event.actor)] if by_person and event.actor else []


def _plain(value: object) -> str:
    return ", ".join(said(str(one)) for one in value) if isinstance(value, list) else said(str(value))
