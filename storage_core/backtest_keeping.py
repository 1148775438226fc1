"""What people do with a backtest afterwards: note, tag, pin and share it, choose which of its symbols count, delete it,
and take that back for a week.

Deleting only marks the row; its files stay where they are, so that undoing it cannot fail. After the week `purge`
takes the row and the files away, the files by way of the trash.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select, update
from sqlalchemy import delete as delete_rows
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from storage_core.backtests import get
from storage_core.db import begin_to_write, session_scope, utc_now
from storage_core.errors import BadFilter, NotDeletable, NotRestorable
from storage_core.events import add_event
from storage_core.models import Backtest
from storage_core.reconcile import is_named
from storage_core.result_root import ResultRoot, result_root
from storage_core.settings import Settings

UNDO_FOR = timedelta(days=7)
_CLOCKS_DIFFER = timedelta(seconds=30)
LONGEST_NOTE, LONGEST_TAG, MOST_TAGS = 10_000, 40, 20
ACTIVE_SYMBOLS = "active_symbols"
"""In the metadata: the symbols that count and the metrics of those. Missing while all of them count."""
_ENDED = ("completed", "failed", "cancelled")
_PLAIN = {"synchronize_session": False}


def annotate(
    session: Session,
    task_id: UUID,
    *,
    note: str | None = None,
    tags: Sequence[str] | None = None,
    pinned: bool | None = None,
) -> Backtest:
    """Change the note, the tags (sorted, each once) or the pin; None leaves as it is. Raises BadFilter."""
    backtest = get(session, task_id)
    if note is not None:
        if len(note) > LONGEST_NOTE:
            raise BadFilter("note", f"{len(note)} characters long", f"at most {LONGEST_NOTE}")
        backtest.note = note.replace("\x00", "").strip()
    if tags is not None:
        backtest.tags = _clean_tags(tags)
    if pinned is not None:
        backtest.pinned = pinned
    session.flush()
    return backtest


def share(session: Session, task_id: UUID, *, shared: bool) -> Backtest:
    """Let everybody read it who may log in, or its owner alone."""
    backtest = get(session, task_id)
    backtest.shared = shared
    session.flush()
    return backtest


def choose_symbols(
    session: Session,
    task_id: UUID,
    symbols: Sequence[str],
    metrics: Mapping[str, Any],
    *,
    instead_of: Sequence[str] | None = None,
) -> Backtest | None:
    """Note that only these symbols count, and the `metrics` of those by stored name; all of them: as it was computed.

    What was computed stays as it is under `metrics` and in the row's columns. None, and nothing is changed, when other
    symbols count by now than `instead_of` (None: whichever do). Raises BadFilter.
    """
    begin_to_write(session)
    backtest = session.get_one(Backtest, task_id, populate_existing=True, with_for_update=True)
    if instead_of is not None and active_symbols(backtest) != list(instead_of):
        return None
    unknown = [symbol for symbol in symbols if symbol not in backtest.symbols]
    if unknown or not symbols:
        was = ", ".join(unknown) or "none"
        raise BadFilter("symbols", was, f"at least one of {', '.join(backtest.symbols)}")
    kept = {name: value for name, value in backtest.metadata_.items() if name != ACTIVE_SYMBOLS}
    active = [symbol for symbol in backtest.symbols if symbol in symbols]
    if len(active) < len(backtest.symbols):
        kept[ACTIVE_SYMBOLS] = {"symbols": active, "metrics": dict(metrics)}
    backtest.metadata_ = kept
    session.flush()
    return backtest


def active_symbols(backtest: Backtest) -> list[str]:
    """The symbols that count, in the order of the spec."""
    chosen = (backtest.metadata_ or {}).get(ACTIVE_SYMBOLS)
    return list(chosen["symbols"]) if chosen else list(backtest.symbols)


def delete(session: Session, task_id: UUID, *, by: str, now: datetime | None = None) -> None:
    """Mark an ended backtest as deleted; again is harmless. Raises NotDeletable when pinned or not ended."""
    now = now or utc_now()
    statement = (
        update(Backtest)
        .where(
            Backtest.task_id == task_id,
            Backtest.status.in_(_ENDED),
            Backtest.pinned.is_(False),
            Backtest.deleted_at.is_(None),
        )
        .values(deleted_at=now)
        .returning(Backtest.task_id)
    )
    if session.execute(statement, execution_options=_PLAIN).one_or_none() is not None:
        add_event(session, task_id, "deleted", actor=by, now=now)
        return
    backtest = get(session, task_id)
    if backtest.deleted_at is None:
        raise NotDeletable(task_id, "is pinned" if backtest.pinned else f"is {backtest.status}")


def restore(session: Session, task_id: UUID, *, by: str, now: datetime | None = None) -> None:
    """Take a deletion back within the week; again is harmless. Raises NotRestorable and BacktestNotFound."""
    now = now or utc_now()
    statement = (
        update(Backtest)
        .where(Backtest.task_id == task_id, Backtest.deleted_at >= now - UNDO_FOR)
        .values(deleted_at=None)
        .returning(Backtest.task_id)
    )
    if session.execute(statement, execution_options=_PLAIN).one_or_none() is not None:
        add_event(session, task_id, "restored", actor=by, now=now)
    elif get(session, task_id).deleted_at is not None:
        raise NotRestorable(task_id)


def purge(
    engine: Engine,
    settings: Settings,
    *,
    now: datetime | None = None,
    dry_run: bool = False,
    on_step: Callable[[str], None] = lambda step: None,
) -> list[UUID]:
    """Take away for good what was deleted more than a week ago; returns the ids. Also empties the old trash.

    For each: its folders go to the trash, then its row goes, and that commit is the commit point. A crash before it
    leaves the row marked and the folders, or some of them, in the trash: nobody can see or restore such a row, and
    the next purge goes on with it. `on_step` hears "trashed" and "gone" of each.
    """
    now, gone = now or utc_now(), []
    due = _due(engine, now)
    root = result_root(settings)
    folders: dict[UUID, list[Path]] = defaultdict(list)
    for folder in root.result_folders()[0] if due else ():
        folders[folder.task_id].append(folder.path)
    for task_id in due:
        if dry_run or _take_away(engine, root, task_id, folders[task_id], now=now, on_step=on_step):
            gone.append(task_id)
    root.empty_trash(needed=partial(is_named, engine), now=now, dry_run=dry_run)
    return gone


def _due(engine: Engine, now: datetime, *more: ColumnElement[bool]) -> Sequence[UUID]:
    """What nobody can restore any more, nor could half a minute ago: clocks differ by seconds."""
    old = Backtest.deleted_at < now - UNDO_FOR - _CLOCKS_DIFFER
    with session_scope(engine) as session:
        return session.scalars(select(Backtest.task_id).where(old, *more).order_by(Backtest.deleted_at)).all()


def _take_away(
    engine: Engine,
    root: ResultRoot,
    task_id: UUID,
    folders: Sequence[Path],
    *,
    now: datetime,
    on_step: Callable[[str], None],
) -> bool:
    """Remove the folders and then the row of one backtest; False when another purge was faster."""
    with root.locked():
        if not _due(engine, now, Backtest.task_id == task_id):
            return False
        for folder in folders:
            root.to_trash(folder, now=now)
        on_step("trashed")
        with session_scope(engine) as session:
            session.execute(delete_rows(Backtest).where(Backtest.task_id == task_id), execution_options=_PLAIN)
        on_step("gone")
    return True


def _clean_tags(tags: Sequence[str]) -> list[str]:
    cleaned = sorted({tag.strip() for tag in tags})
    if len(cleaned) > MOST_TAGS:
        raise BadFilter("tags", f"{len(cleaned)} tags", f"at most {MOST_TAGS}")
    for tag in cleaned:
        if not 1 <= len(tag) <= LONGEST_TAG or not tag.isprintable():
            raise BadFilter("tags", tag[: LONGEST_TAG + 1], f"1 to {LONGEST_TAG} printable characters each")
    return cleaned
