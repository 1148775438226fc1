"""Cleaning up: mark old backtests deleted, take away for good what has been marked for a week.

What is chosen is worked out in one place, so that a dry run says exactly what the run would do. Three things stay
whatever is asked: what is pinned, what has not ended, and for a week everything (`backtest_keeping.restore`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, select

from storage_core import backtest_keeping, chosen
from storage_core.backtest_filters import Filters
from storage_core.backtest_keeping import UNDO_FOR, purge
from storage_core.backtest_list import LARGEST_PAGE, list_page
from storage_core.chosen import Choice
from storage_core.db import session_scope, utc_now
from storage_core.errors import BacktestNotFound, BadFilter, NotDeletable, NotRestorable
from storage_core.models import Backtest
from storage_core.settings import Settings

ENDED = ("completed", "failed", "cancelled")
BEST = "-sharpe"
AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What to delete: what passes `filters` and was submitted more than `days` ago.

    Of each strategy the `keep_top` results that come first in the order `best` stay, whatever their age.
    """

    days: float
    filters: Filters = field(default_factory=Filters)
    keep_top: int = 0
    best: str = BEST

    def old(self, now: datetime) -> Filters:
        """The filters with the age and the states that can be deleted. Raises BadFilter."""
        if not 0 <= self.days <= 36_500:
            raise BadFilter("days", self.days, "0 to 36500")
        if running := [status for status in self.filters.statuses if status not in ENDED]:
            raise BadFilter("status", running[0], ", ".join(ENDED))
        before = now - timedelta(days=self.days)
        if self.filters.submitted_to is not None:
            before = min(before, self.filters.submitted_to)
        return replace(self.filters, submitted_to=before, statuses=self.filters.statuses or ENDED, deleted=False)


@dataclass(frozen=True, slots=True)
class Item:
    """One backtest to be deleted, as people know it."""

    task_id: UUID
    strategy: str
    status: str
    created_at: datetime
    bytes: int


@dataclass(slots=True)
class Report:
    """What was done, or in a dry run would be. `purged`: marked a week ago or more, now gone for good."""

    dry_run: bool
    deleted: list[UUID] = field(default_factory=list)
    bytes: int = 0
    kept_pinned: int = 0
    kept_top: int = 0
    purged: list[UUID] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "dry_run": self.dry_run,
            "deleted": [str(task_id) for task_id in self.deleted],
            "bytes": self.bytes,
            "kept_pinned": self.kept_pinned,
            "kept_top": self.kept_top,
            "purged": [str(task_id) for task_id in self.purged],
        }


def clean_up(
    engine: Engine,
    settings: Settings,
    rules: Rules,
    *,
    by: str,
    dry_run: bool = False,
    now: datetime | None = None,
    on_item: Callable[[Item], None] = lambda item: None,
    on_progress: Callable[[int, int, int], None] = lambda done, total, failed: None,
) -> Report:
    """Mark what `rules` choose as deleted, then purge. `on_item` hears of each one that is (would be) marked.

    Safe beside everything else: each mark is one conditional update, so what is pinned meanwhile stays. Raises
    BadFilter.
    """
    now, report = now or utc_now(), Report(dry_run)
    choice = Choice(filters=rules.old(now))
    top = _top(engine, rules)
    total = chosen.count(engine, choice)
    rows = enumerate(_candidates(engine, choice, top, report), 1)
    while some := list(islice(rows, AT_ONCE)):
        with session_scope(engine) as session:
            marked = [row for _, row in some if _mark(session, row, by=by, now=now, dry_run=dry_run)]
        report.kept_pinned += len(some) - len(marked)
        for row in marked:
            report.deleted.append(row.task_id)
            report.bytes += row.file_size or 0
            on_item(Item(row.task_id, row.strategy, row.status, row.created_at, row.file_size or 0))
        on_progress(some[-1][0], total, 0)
    report.purged = purge(engine, settings, now=now, dry_run=dry_run)
    return report


def take_back(
    engine: Engine, choice: Choice, *, by: str, dry_run: bool = False, now: datetime | None = None
) -> tuple[list[UUID], list[UUID]]:
    """Undo the deletion of the chosen; returns those that are back and those deleted too long ago. Raises BadFilter."""
    now = now or utc_now()
    back: list[UUID] = []
    late: list[UUID] = []
    for task_id in chosen.walk_ids(engine, replace(choice, filters=replace(choice.filters, deleted=True))):
        with session_scope(engine) as session:
            row = session.get(Backtest, task_id)
            if row is None:
                continue
            try:
                if dry_run and row.deleted_at is not None and row.deleted_at < now - UNDO_FOR:
                    raise NotRestorable(task_id)
                if not dry_run:
                    backtest_keeping.restore(session, task_id, by=by, now=now)
                back.append(task_id)
            except (NotRestorable, BacktestNotFound):
                late.append(task_id)
    return back, late


def _candidates(engine: Engine, choice: Choice, top: set[UUID], report: Report) -> Iterator[Backtest]:
    """Those chosen that nothing protects; counts the others."""
    for row in chosen.walk(engine, choice):
        if row.pinned:
            report.kept_pinned += 1
        elif row.task_id in top:
            report.kept_top += 1
        else:
            yield row


def _mark(session: Any, row: Backtest, *, by: str, now: datetime, dry_run: bool) -> bool:
    if not dry_run:
        try:
            backtest_keeping.delete(session, row.task_id, by=by, now=now)
        except (NotDeletable, BacktestNotFound):
            return False  # pinned, or taken away, since it was read
    return True


def _top(engine: Engine, rules: Rules) -> set[UUID]:
    """The results that `keep_top` protects: of each strategy the first ones of the list in the order `best`."""
    found: set[UUID] = set()
    if rules.keep_top < 1:
        return found
    with session_scope(engine) as session:
        strategies = session.scalars(select(Backtest.strategy).distinct()).all()
    for strategy in strategies:
        if not rules.filters.strategies or strategy in rules.filters.strategies:
            found |= _first(engine, replace(rules.filters, strategies=[strategy], statuses=["completed"]), rules)
    return found


def _first(engine: Engine, filters: Filters, rules: Rules) -> set[UUID]:
    found: set[UUID] = set()
    after: str | None = None
    while len(found) < rules.keep_top:
        size = min(rules.keep_top - len(found), LARGEST_PAGE)
        with session_scope(engine) as session:
            page = list_page(session, filters=filters, sort=rules.best, size=size, after=after)
        found |= {row.task_id for row in page.rows}
        after = page.older
        if after is None:
            break
    return found
