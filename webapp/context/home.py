"""The start page's figures: who works, how much waits, how much is stored, when it was last backed up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypedDict

from flask_babel import gettext as _

from storage_core.models import Job, Process
from webapp.context.queue import process_words
from webapp.filters import ago

RUNS_BACKTESTS: Final = "worker"


class Worker(TypedDict):
    """One living process."""

    name: str
    kind: str
    busy: bool
    seen: str


class State(TypedDict):
    """Queue and workers."""

    running: int
    queued: int
    workers: Sequence[Worker]
    stuck: bool


class Backup(TypedDict):
    """The last backup, or that there is none."""

    words: str
    way: str


def ctx_state(counts: Mapping[str, int], processes: Sequence[Process], now: datetime) -> State:
    """`stuck`: backtests wait and nobody is there to run them."""
    workers: list[Worker] = [
        {
            "name": one.host,
            "kind": process_words(one.kind),
            "busy": one.task_id is not None,
            "seen": ago(one.seen_at, now),
        }
        for one in processes
    ]
    alive = any(one.kind == RUNS_BACKTESTS for one in processes)
    return {
        "running": counts["running"],
        "queued": counts["queued"],
        "workers": workers,
        "stuck": not alive and counts["running"] + counts["queued"] > 0,
    }


def ctx_backup(jobs: Sequence[Job], now: datetime) -> Backup:
    """From the newest backups, the last one that came to an end; one that runs says so."""
    for job in jobs:
        if job.status in ("queued", "running"):
            return {"words": _("being taken now"), "way": ""}
        if job.status == "completed":
            return {"words": ago(job.finished_at, now), "way": ""}
        if job.status == "failed":
            return {"words": _("failed %(when)s", when=ago(job.finished_at, now)), "way": "loss"}
    return {"words": _("never"), "way": "warn"}


def ctx_bars(inventory: Sequence[Any]) -> dict[str, int]:
    """How many series of bars there are, and their bytes."""
    return {"series": len(inventory), "bytes": sum(one.bytes for one in inventory)}
