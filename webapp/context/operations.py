"""What the pages of operations have in common: their tabs."""

from __future__ import annotations

from collections.abc import Container
from typing import Final, TypedDict

from flask_babel import lazy_gettext as _

TABS: Final = (
    ("queue", _("Queue"), "operations.page"),
    ("storage", _("Storage"), "operations_storage.page"),
    ("backups", _("Backups"), "operations_backups.page"),
    ("alerts", _("Alerts"), "operations_alerts.page"),
    ("audit", _("Audit log"), "operations_audit.page"),
)
FOR_ADMINS: Final = frozenset({"audit"})


class Tab(TypedDict):
    """One part of the operations: `name` is what a page calls itself as `tab`."""

    name: str
    label: str
    endpoint: str


def ctx_tabs(endpoints: Container[str], *, admin: bool = True) -> list[Tab]:
    """The tabs whose page there is, for an admin or another: `endpoints` are those of the application."""
    shown = [tab for tab in TABS if tab[2] in endpoints and (admin or tab[0] not in FOR_ADMINS)]
    return [{"name": name, "label": str(label), "endpoint": page} for name, label, page in shown]
