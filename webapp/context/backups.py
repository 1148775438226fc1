"""Backups as their pages show them: the list, one of them with its way back, and the work under way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypedDict
from uuid import UUID

from flask_babel import gettext as _

from storage_core.backup_schedule import BACKUP, PRUNE, REHEARSE, VERIFY, Overdue
from storage_core.backup_store import REHEARSED, VERIFIED, Note
from storage_core.backup_summary import Summary
from storage_core.models import Job
from webapp.filters import count, file_size
from webapp.phrases import said

ACTIVE: Final = ("queued", "running")
INTO: Final = "/srv/coin-hts-restored"
EMPTY_DATABASE: Final = "postgresql://USER:PASSWORD@HOST/coin_hts_restored"


class Check(TypedDict):
    """What the newest check of a kind came to."""

    at: datetime
    sound: bool


class BackupLine(TypedDict):
    """A row of the list; figures are None when the manifest cannot be read."""

    id: str
    at: datetime | None
    size: int | None
    files: int | None
    added: int | None
    missing: int
    verified: Check | None
    rehearsed: Check | None
    problem: str


class JobLine(TypedDict):
    """Work under way, or just ended."""

    id: UUID
    title: str
    active: bool
    failed: bool
    progress: float
    phase: str
    at: datetime
    by_clock: bool


class Backups(TypedDict):
    """The page."""

    lines: list[BackupLine]
    warnings: list[str]
    unreachable: str


class Restoring(TypedDict):
    """The commands that bring one backup back, and what to set afterwards."""

    command: str
    create_database: str
    switch: list[str]


def ctx_backups(found: Sequence[Summary], late: Sequence[Overdue], *, unreachable: str = "") -> Backups:
    """The newest first. `unreachable` says why the place of the backups cannot be read."""
    lines = [ctx_line(one) for one in reversed(found)]
    return {"lines": lines, "warnings": [one.message for one in late], "unreachable": unreachable}


def ctx_line(one: Summary) -> BackupLine:
    """One backup."""
    made = one.manifest
    return {
        "id": one.id,
        "at": made and made.created_at,
        "size": made and made.total_bytes,
        "files": made and made.file_count,
        "added": made and made.added_bytes,
        "missing": len(made.problems) if made else 0,
        "verified": _check(one.note(VERIFIED)),
        "rehearsed": _check(one.note(REHEARSED)),
        "problem": one.problem,
    }


def ctx_job(job: Job) -> JobLine:
    """One job of a backup."""
    active = job.status in ACTIVE
    return {
        "id": job.job_id,
        "title": _titles()[job.kind],
        "active": active,
        "failed": job.status == "failed",
        "progress": job.progress,
        "phase": _now(job) if active else _outcome(job),
        "at": job.finished_at or job.created_at,
        "by_clock": job.owner_id is None,
    }


def ctx_restoring(one: Summary, *, results_in_s3: bool, backup_uri: str) -> Restoring:
    """How to bring this backup back, word for word."""
    postgresql = one.manifest is not None and one.manifest.database.kind == "postgresql"
    parts = [f"flask backup restore {one.id} --into {INTO}"]
    parts += [f"--database-url {EMPTY_DATABASE}"] if postgresql else []
    parts += ["--results-into s3://BUCKET/EMPTY-PREFIX"] if results_in_s3 else []
    database = EMPTY_DATABASE if postgresql else f"sqlite:///{INTO}/coin-hts.sqlite3"
    switch = [f"DATA_DIR={INTO}", f"DATABASE_URL={database}", f"BACKUP_URI={backup_uri}"]
    switch += ["RESULTS_URI=s3://BUCKET/EMPTY-PREFIX"] if results_in_s3 else []
    return {
        "command": " \\\n  ".join(parts),
        "create_database": "createdb coin_hts_restored" if postgresql else "",
        "switch": switch,
    }


def _check(note: Note | None) -> Check | None:
    return None if note is None else {"at": note.at, "sound": note.sound}


def _titles() -> Mapping[str, str]:
    return {BACKUP: _("Backup"), VERIFY: _("Verify"), PRUNE: _("Prune"), REHEARSE: _("Rehearsal")}


def _now(job: Job) -> str:
    if job.status == "queued":
        return _("waits for a worker")
    return said(job.phase) or _("begins")


def _outcome(job: Job) -> str:
    if job.status == "cancelled":
        return _("cancelled")
    if job.status == "failed":
        return said(job.error_message or "failed")
    return _OUTCOMES[job.kind](job.outcome)


def _of_backup(told: Mapping[str, Any]) -> str:
    text = _("%(id)s: %(size)s", id=told["backup"], size=file_size(told["bytes"]))
    return f"{text}, " + _("%(size)s of it new", size=file_size(told["added_bytes"]))


def _of_verify(told: Mapping[str, Any]) -> str:
    if told["damaged"]:
        return _("%(n)s objects damaged or gone", n=count(told["damaged"]))
    return _("%(n)s objects read again, all sound", n=count(told["objects"]))


def _of_prune(told: Mapping[str, Any]) -> str:
    kept = _("%(n)s backups stay", n=count(told["kept"]))
    return f"{kept}, " + _("%(n)s went, %(size)s free", n=count(told["removed"]), size=file_size(told["bytes"]))


def _of_rehearsal(told: Mapping[str, Any]) -> str:
    text = _("%(id)s restored and compared", id=told["backup"])
    return f"{text}: " + _("%(rows)s rows, %(n)s results", rows=count(told["rows"]), n=count(told["results"]))


_OUTCOMES: Final = {BACKUP: _of_backup, VERIFY: _of_verify, PRUNE: _of_prune, REHEARSE: _of_rehearsal}
