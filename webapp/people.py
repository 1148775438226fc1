"""A logged-in account, or the one a token speaks for, detached from the database."""

from __future__ import annotations

from dataclasses import dataclass

from flask_login import UserMixin

from storage_core.models import Backtest, User


@dataclass(frozen=True)
class Person(UserMixin):
    """Who asks, and what they may do."""

    id: int
    name: str
    role: str
    timezone: str
    language: str = ""

    @classmethod
    def of(cls, user: User, *, scope: str = "admin") -> Person:
        """The person behind an account row; without the scope admin, an admin is a trader like others."""
        role = "trader" if user.role == "admin" and scope != "admin" else user.role
        return cls(id=user.id, name=user.name, role=role, timezone=user.timezone, language=user.language)

    @property
    def may_run(self) -> bool:
        """Whether this person may submit and cancel."""
        return self.role in ("trader", "admin")

    @property
    def is_admin(self) -> bool:
        """Whether this person may look after accounts, data, backups and alerts."""
        return self.role == "admin"

    @property
    def sees_all(self) -> bool:
        """Whether other people's backtests are visible."""
        return self.role == "admin"

    @property
    def sees_owner(self) -> int | None:
        """The owner that lists are limited to; None for everybody's."""
        return None if self.sees_all else self.id

    def sees(self, backtest: Backtest) -> bool:
        """Their own, what is shared or belongs to nobody (the sample), and everything for an admin."""
        return self.sees_all or backtest.shared or backtest.owner_id in (None, self.id)

    def owns(self, backtest: Backtest) -> bool:
        """Whether this person may note, tag, pin and delete it: their own, and everything for an admin."""
        return self.sees_all or backtest.owner_id == self.id

    def may_stop(self, backtest: Backtest) -> bool:
        """Whether this person may cancel it: what they own, and what belongs to nobody."""
        return backtest.owner_id is None or self.owns(backtest)
