"""Writes what people do into the audit log, with who asked, from where, and in which request."""

from __future__ import annotations

import getpass
from typing import Any

from flask import g, has_request_context, request

from storage_core.audit import record
from webapp.extensions import db

NOBODY = "(not logged in)"


def audit(action: str, target: object = "", *, actor: str | None = None, **detail: Any) -> None:
    """Note that the person who asks did `action` (`family.verb`) to `target`, in the transaction under way.

    Call it before the commit of the action. `actor` is needed only where nobody is logged in yet. From a command the
    actor is the user of the machine. Never hand it a secret.
    """
    asked = has_request_context()
    record(
        db.session(),
        actor=actor or (_asking() if asked else f"console ({getpass.getuser()})"),
        action=action,
        target=str(target),
        detail=detail,
        address=request.remote_addr or "" if asked else "",
        request_id=str(g.get("request_id", "")) if asked else "",
    )


def _asking() -> str:
    from webapp.login import person  # with most of the web, which a command does without

    found: str = getattr(person(), "name", NOBODY)
    return found
