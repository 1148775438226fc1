"""The page of the queue: who waits, who works, and what failed in every attempt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict
from uuid import UUID

from flask_babel import gettext as _
from flask_babel import pgettext

from engine.catalog import Catalog
from storage_core.backtests import MAX_ATTEMPTS
from storage_core.models import Backtest, Job, Process
from storage_core.processes import ALIVE_FOR
from storage_core.queue_report import Flow
from webapp.context.rows import short_symbols, state_words
from webapp.filters import duration
from webapp.language import translated
from webapp.people import Person
from webapp.phrases import said, strategy_name

if TYPE_CHECKING:
    from workers.dead_letters import DeadLetter

WORKS = ("worker",)
"""Kinds of processes that take backtests."""


class Line(TypedDict):
    """What one person, or all others together, have in one lane."""

    owner: str
    lane: str
    queued: int
    running: int
    waits: str


class Worker(TypedDict):
    """A process, what it does, and when it was last heard."""

    name: str
    kind: str
    title: str
    alive: bool
    started_at: datetime
    seen: str
    version: str
    task_id: UUID | None
    busy: bool
    doing: str


class Queue(TypedDict):
    """The part of the page that follows the queue."""

    queued: int
    running: int
    oldest: str
    workers: int
    busy: int
    lines: Sequence[Line]
    processes: Sequence[Worker]
    stuck: str


def process_words(kind: str) -> str:
    """What people read for a kind of process."""
    return {"worker": _("worker"), "worker-io": _("data and backups"), "clock": _("clock")}.get(kind, kind)


class Dead(TypedDict):
    """A dead letter as its reader may see it; no traceback, which is fetched when somebody asks for it."""

    task_id: UUID
    at: datetime
    title: str
    there: bool
    code: str
    reason: str
    attempts: str
    worker: str
    has_traceback: bool


def ctx_queue(
    flows: Sequence[Flow],
    processes: Sequence[Process],
    tasks: Mapping[UUID, Backtest],
    *,
    jobs: Mapping[str, Sequence[Job]],
    viewer: Person,
    now: datetime,
    catalog: Catalog,
) -> Queue:
    """Who waits and who works; `tasks` and `jobs` are the rows of what the processes work on."""
    seen = [_worker(one, tasks, viewer=viewer, now=now, catalog=catalog) for one in processes]
    for one in seen:
        if found := jobs.get(one["name"]):
            one["doing"] = ", ".join(f"{said(job.kind.replace('_', ' '))} {job.progress:.0%}" for job in found)
    working = [one for one in seen if one["alive"] and one["kind"] in WORKS]
    queued = sum(flow.queued for flow in flows)
    return {
        "queued": queued,
        "running": sum(flow.running for flow in flows),
        "oldest": _waits([flow.waiting_since for flow in flows], now),
        "workers": len(working),
        "busy": sum(1 for one in working if one["busy"]),
        "lines": _lines(flows, viewer, now),
        "processes": seen,
        "stuck": _stuck(seen, queued),
    }


def ctx_dead(letters: Sequence[DeadLetter], rows: Mapping[UUID, Backtest], *, viewer: Person) -> list[Dead]:
    """The newest letter of each failed backtest that the viewer may see; an admin also those of deleted ones."""
    found: dict[UUID, Dead] = {}
    for letter in letters:
        row = rows.get(letter.task_id)
        if letter.task_id not in found and _shown(row, viewer):
            found[letter.task_id] = _dead(letter, row)
    return list(found.values())


def _shown(row: Backtest | None, viewer: Person) -> bool:
    if row is None or row.deleted_at is not None:
        return viewer.sees_all
    return row.status == "failed" and viewer.owns(row)


def _dead(letter: DeadLetter, row: Backtest | None) -> Dead:
    there = row is not None and row.deleted_at is None
    title = _("deleted for good")
    if row is not None:
        title = f"{strategy_name(row.strategy)} · {short_symbols(row.symbols)} {row.timeframe}"
    tries = _("%(tries)s of %(most)s", tries=row.attempt - row.excused, most=MAX_ATTEMPTS) if row else ""
    return {
        "task_id": letter.task_id,
        "at": letter.at,
        "title": title,
        "there": there,
        "code": letter.code,
        "reason": said(letter.reason),
        "attempts": tries,
        "worker": letter.worker,
        "has_traceback": bool(letter.traceback),
    }


def _lines(flows: Sequence[Flow], viewer: Person, now: datetime) -> list[Line]:
    """One line for each person and lane; for those who do not see all, other people are one."""
    groups: dict[tuple[str, str], list[Flow]] = {}
    for flow in flows:
        groups.setdefault((_owner(flow, viewer), flow.lane), []).append(flow)
    return [
        {
            "owner": owner,
            "lane": pgettext("lane", "short") if lane == "short" else pgettext("lane", "long"),
            "queued": sum(flow.queued for flow in group),
            "running": sum(flow.running for flow in group),
            "waits": _waits([flow.waiting_since for flow in group], now),
        }
        for (owner, lane), group in groups.items()
    ]


def _owner(flow: Flow, viewer: Person) -> str:
    if flow.owner_id == viewer.id:
        return _("you")
    if not viewer.sees_all:
        return _("other people")
    return flow.owner or _("nobody")


def _waits(moments: Sequence[datetime | None], now: datetime) -> str:
    oldest = min((moment for moment in moments if moment is not None), default=None)
    return "" if oldest is None else _age(oldest, now)


def _age(moment: datetime, now: datetime) -> str:
    return duration(max(round((now - moment).total_seconds()), 0))


def _worker(
    process: Process, tasks: Mapping[UUID, Backtest], *, viewer: Person, now: datetime, catalog: Catalog
) -> Worker:
    row = tasks.get(process.task_id) if process.task_id is not None else None
    runs = row if row is not None and row.status == "running" else None
    mine = runs is not None and runs.deleted_at is None and viewer.sees(runs)
    return {
        "name": process.name,
        "kind": process.kind,
        "title": process_words(process.kind),
        "alive": process.seen_at >= now - ALIVE_FOR,
        "started_at": process.started_at,
        "seen": _age(process.seen_at, now),
        "version": process.version,
        "task_id": runs.task_id if runs is not None and mine else None,
        "busy": runs is not None,
        "doing": _doing(process, runs, mine=mine, now=now, catalog=catalog),
    }


def _doing(process: Process, runs: Backtest | None, *, mine: bool, now: datetime, catalog: Catalog) -> str:
    if runs is None:
        return _("starts what is due") if process.kind == "clock" else _("waits for work")
    if not mine:
        return _("a backtest of somebody else")
    known = catalog.get(runs.strategy)
    label = translated(known.label) if known else runs.strategy
    return f"{label} · {short_symbols(runs.symbols)} · {state_words(runs, now)}"


def _stuck(seen: Sequence[Worker], queued: int) -> str:
    """Why nothing moves, when something is wrong."""
    living = Counter(one["kind"] for one in seen if one["alive"])
    if not any(living[kind] for kind in WORKS):
        return _("No worker gives a sign of life, so nothing runs. Start one, or look into the log of its machine.")
    if queued and not living["clock"]:
        return _("The clock gives no sign of life: work that a dead worker leaves behind stays where it is.")
    return ""
