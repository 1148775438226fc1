"""The audit log as its page shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, TypedDict
from uuid import UUID

from flask_babel import lazy_gettext as _

from storage_core.audit import AuditFilters
from storage_core.models import AuditEntry
from webapp.ranges import instants

NAMES = ("actor", "action", "target", "from", "to")
ACTIONS: Final[Mapping[str, Any]] = {
    "account.logged_in": _("logged in"),
    "account.login_failed": _("failed to log in"),
    "account.logged_out": _("logged out"),
    "account.link_used": _("used a one-time link"),
    "account.set_up": _("made the first account"),
    "account.password_changed": _("changed the password"),
    "account.password_refused": _("typed a wrong password"),
    "account.sessions_ended": _("ended other sessions"),
    "user.created": _("made an account"),
    "user.role_changed": _("changed a role"),
    "user.deactivated": _("deactivated an account"),
    "user.reactivated": _("reactivated an account"),
    "user.link_made": _("made a one-time link"),
    "token.created": _("made a token"),
    "token.revoked": _("revoked a token"),
    "backtest.shared": _("shared a backtest"),
    "backtest.unshared": _("stopped sharing a backtest"),
    "backtest.deleted": _("deleted a backtest"),
    "backtest.restored": _("took a deletion back"),
    "bars.uploaded": _("stored bars of a file"),
    "bars.fetch_started": _("started to fetch bars"),
    "bars.deleted": _("deleted bars"),
    "results.cleaned_up": _("cleaned up results"),
    "results.restored": _("took a cleanup back"),
    "backup.started": _("started a backup"),
    "backup.verify_started": _("started to verify a backup"),
    "backup.rehearsal_started": _("started to rehearse a restore"),
    "backup.cancelled": _("cancelled work on backups"),
    "alerts.tested": _("sent a test message"),
    "dead_letter.discarded": _("discarded a dead letter"),
    "dead_letter.retried": _("retried a dead letter"),
}
"""What people read for each name in the log; all of them in the past, as each has happened."""


class AuditLine(TypedDict):
    """One entry. `task_id` is there when the target is a backtest that the line can lead to."""

    at: datetime
    actor: str
    action: str
    words: str
    target: str
    task_id: UUID | None
    detail: str
    address: str
    request_id: str


class AuditForm(TypedDict):
    """What was asked for, of that what is not empty, how the log is searched for it, and what was wrong, by field."""

    values: dict[str, str]
    query: dict[str, str]
    filters: AuditFilters
    errors: dict[str, str]


def ctx_line(entry: AuditEntry) -> AuditLine:
    """One line of the log."""
    return {
        "at": entry.at,
        "actor": entry.actor,
        "action": entry.action,
        "words": words_of(entry.action),
        "target": entry.target,
        "task_id": _task_id(entry),
        "detail": ", ".join(f"{key}: {_short(value)}" for key, value in entry.detail.items()),
        "address": entry.address,
        "request_id": entry.request_id,
    }


def words_of(action: str) -> str:
    """What people read for `action`: its name when an older version wrote another one."""
    return str(ACTIONS.get(action, action))


def ctx_actions(actions: Sequence[str]) -> list[tuple[str, str]]:
    """These names with their words, in the order of the words."""
    return sorted(((one, words_of(one)) for one in actions), key=lambda one: one[1])


def ctx_form(args: Mapping[str, str], zone: str, *, bad_day: str) -> AuditForm:
    """The filters of a query string; days are those of `zone`, `bad_day` is said of one that is none."""
    values = {name: args.get(name, "").strip()[:200] for name in NAMES}
    days, errors = {}, {}
    for name in ("from", "to"):
        try:
            days[name] = date.fromisoformat(values[name]) if values[name] else None
        except ValueError:
            days[name], errors[name] = None, bad_day
    since, until = _range(days["from"], days["to"], zone)
    filters = AuditFilters(
        actor=values["actor"].lower() if "(" not in values["actor"] else values["actor"],
        action=values["action"],
        target=values["target"],
        since=since,
        until=until,
    )
    query = {name: value for name, value in values.items() if value}
    return {"values": values, "query": query, "filters": filters, "errors": errors}


def _range(first: date | None, last: date | None, zone: str) -> tuple[datetime | None, datetime | None]:
    start, end = instants(first or date.min, last or date.max, zone)
    return start if first else None, end if last else None


def _task_id(entry: AuditEntry) -> UUID | None:
    if not entry.action.startswith("backtest."):
        return None
    try:
        return UUID(entry.target)
    except ValueError:
        return None


def _short(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(str(one) for one in value)
    return "–" if value is None else str(value)
