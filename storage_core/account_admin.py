"""What admins do with accounts. One admin who can log in always stays: nobody could make another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, exists, or_, select, update
from sqlalchemy.orm import Session, aliased

from storage_core.account_fields import checked_role
from storage_core.accounts import LOCAL_ID
from storage_core.errors import AccountNotFound, LastAdmin
from storage_core.models import User


def list_users(session: Session) -> Sequence[User]:
    """All accounts of people: active ones first, then by name."""
    people = select(User).where(User.id != LOCAL_ID)
    return session.scalars(people.order_by(User.active.desc(), User.name)).all()


def get_user(session: Session, user_id: int) -> User:
    """The account of a person; raises AccountNotFound."""
    user = session.get(User, user_id) if 0 < user_id < 2**31 else None
    if user is None or user.id == LOCAL_ID:
        raise AccountNotFound(user_id)
    return user


def set_role(session: Session, user_id: int, role: str) -> User:
    """Give an account another role. Raises AccountError, AccountNotFound and LastAdmin. Does not commit."""
    return _change(session, user_id, keeps_admin=checked_role(role) == "admin", values={"role": role})


def deactivate(session: Session, user_id: int) -> User:
    """Close an account: no log-in, no token, no session; what it owns stays. Raises AccountNotFound and LastAdmin."""
    return _change(session, user_id, keeps_admin=False, values={"active": False, "sessions": User.sessions + 1})


def reactivate(session: Session, user_id: int) -> User:
    """Open a closed account again, with the password it had. Raises AccountNotFound."""
    return _change(session, user_id, keeps_admin=True, values={"active": True})


def _change(session: Session, user_id: int, *, keeps_admin: bool, values: dict[str, Any]) -> User:
    user = get_user(session, user_id)
    # On PostgreSQL two admins who demote each other would each still see the other one: they take turns.
    session.execute(select(User.id).where(User.role == "admin").order_by(User.id).with_for_update())
    statement = update(User).where(User.id == user_id).values(**values).returning(User.id)
    if not keeps_admin:
        statement = statement.where(or_(~_can_administer(User), _another_admin(user_id)))
    if session.execute(statement, execution_options={"synchronize_session": False}).one_or_none() is None:
        raise LastAdmin(user.name)
    session.refresh(user)
    return user


def _another_admin(user_id: int) -> ColumnElement[bool]:
    other = aliased(User)
    return exists().where(other.id != user_id, _can_administer(other))


def _can_administer(user: type[User]) -> ColumnElement[bool]:
    return (user.role == "admin") & user.active & (user.password_hash != "")
