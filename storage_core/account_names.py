"""Who is who: the names of accounts, for lists that show other people's work."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage_core.models import User


def account_names(session: Session) -> dict[int, str]:
    """The name of every account by its id, in the order of the names."""
    return dict(session.execute(select(User.id, User.name).order_by(User.name)).all())
