"""Accounts as the page for admins shows them."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from storage_core.models import User


class UserLine(TypedDict):
    """One account. `invited`: nobody has chosen its password yet."""

    id: int
    name: str
    role: str
    active: bool
    invited: bool
    own: bool
    created_at: datetime
    last_login_at: datetime | None


def ctx_user(user: User, own_id: int) -> UserLine:
    """The line of one account, as `own_id` sees it."""
    return {
        "id": user.id,
        "name": user.name,
        "role": user.role,
        "active": user.active,
        "invited": not user.password_hash,
        "own": user.id == own_id,
        "created_at": user.created_at,
        "last_login_at": user.last_login_at,
    }
