"""A logged-in account, or the one a token speaks for, detached from the database."""

from __future__ import annotations

from dataclasses import dataclass

from flask_login import UserMixin

from storage_core import access
from storage_core.models import Backtest, User


@dataclass(frozen=True)
class Person(UserMixin):
    """Who asks. What they may do is decided in `storage_core.access`."""

    id: int
    name: str
    role: str
    timezone: str
    language: str = ""
    theme: str = "auto"
    sessions: int = 0

    @classmethod
    def of(cls, user: User, *, scope: str = "admin") -> Person:
        """The person behind an account row; without the scope admin, an admin is a trader like others."""
        return cls(
            id=user.id,
            name=user.name,
            role="trader" if user.role == "admin" and scope != "admin" else user.role,
            timezone=user.timezone,
            language=user.language,
            theme=user.theme,
            sessions=user.sessions,
        )

    def get_id(self) -> str:
        """What the session cookie says: the account, and how many times its sessions have been ended."""
        return f"{self.id}.{self.sessions}"

    @property
    def may_run(self) -> bool:
        """Whether this person may submit and cancel."""
        return access.may(self.role, "run")

    @property
    def is_admin(self) -> bool:
        """Whether this person may look after accounts, data, backups and alerts."""
        return access.may(self.role, "administer")

    @property
    def sees_all(self) -> bool:
        """Whether other people's backtests are visible."""
        return self.is_admin

    @property
    def sees_owner(self) -> int | None:
        """The owner that lists are limited to; None for everybody's."""
        return None if self.sees_all else self.id

    def sees(self, backtest: Backtest) -> bool:
        """Their own, what is shared or belongs to nobody (the sample), and everything for an admin."""
        return access.sees(self.id, self.role, owner_id=backtest.owner_id, shared=backtest.shared)

    def owns(self, backtest: Backtest) -> bool:
        """Whether this person may note, tag, share, pin and delete it."""
        return access.changes(self.id, self.role, owner_id=backtest.owner_id)

    def may_stop(self, backtest: Backtest) -> bool:
        """Whether this person may cancel it: what they may change, and what belongs to nobody."""
        return self.owns(backtest) or (self.may_run and backtest.owner_id is None)
