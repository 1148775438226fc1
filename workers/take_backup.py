"""Backups as jobs: the night's backup, then prune and a seventh of a verify; a rehearsal once a week.

The clock asks for what is due; each job has an id that follows from its day, so two clocks make one. A backup that was
made and whose job then dies is not made again: the job keeps its name.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, TypeVar

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from storage_core import backup, backup_prune, backup_records, backup_rehearse, backup_schedule, backup_verify, jobs
from storage_core.backup_errors import BackupRunning, RestoreDiffers
from storage_core.backup_store import LATEST, backup_store
from storage_core.backup_verify import Part
from storage_core.backup_watcher import Watcher
from storage_core.db import session_scope, utc_now
from storage_core.settings import Settings
from workers import VERSION
from workers.job_context import JobContext

log = structlog.get_logger("worker")

T = TypeVar("T")
Outcome = dict[str, Any]
LOOK_SECONDS = 60.0
WAIT_SECONDS = 5.0
PARTS = 7
PHASES = {
    "begun": "reading the database",
    "dumped": "sending the database",
    "database": "sending files",
    "files": "sending the list of files",
    "list": "checking that all is there",
    "marked": "restoring files",
    "compared": "verifying what was restored",
}


def take_backup(context: JobContext) -> Outcome:
    """Take a backup; at night, then ask for a prune and for a part of a verify."""
    outcome = context.state.get("made")
    if outcome is None:
        watcher = _watcher(context)
        made = _when_free(
            context, lambda: backup.create(context.engine, context.settings, release=VERSION, watcher=watcher)
        )
        outcome = backup_records.of_backup(made)
        for problem in made.problems:
            log.error("a file is not in the backup", backup=made.id, path=problem.path, problem=problem.problem)
        context.keep({"made": outcome})
    if night := context.args.get("night"):
        _ask_for(context.engine, backup_schedule.PRUNE, date.fromisoformat(night), {})
        turn = date.fromisoformat(night).toordinal()
        _ask_for(context.engine, backup_schedule.VERIFY, date.fromisoformat(night), {"parts": PARTS, "turn": turn})
    return dict(outcome)


def prune_backups(context: JobContext) -> Outcome:
    """Let old backups go."""
    watcher = _watcher(context)
    report = _when_free(
        context,
        lambda: backup_prune.prune(context.engine, context.settings, on_progress=watcher.on_progress),
    )
    return backup_records.of_prune(report)


def verify_backup(context: JobContext) -> Outcome:
    """Read backups again: `args` may name one, and a part of all contents. Damage is in the log and the outcome."""
    parts = context.args.get("parts")
    part = Part(int(parts), int(context.args["turn"])) if parts else None
    names = [str(context.args["backup"])] if context.args.get("backup") else []
    watcher = _watcher(context, "reading objects")
    store = backup_store(context.settings)
    report = backup_verify.verify(store, names, part=part, set_aside=True, on_progress=watcher.on_progress)
    for finding in report.findings:
        log.error("a backup is damaged", object=finding.where, problem=finding.problem, files=finding.paths)
    return backup_records.of_verify(report)


def rehearse_backup(context: JobContext) -> Outcome:
    """Restore into scratch and verify; anything that is not as it was fails the job."""
    name = str(context.args.get("backup") or LATEST)
    watcher = _watcher(context)
    report = _when_free(
        context, lambda: backup_rehearse.rehearse(context.engine, context.settings, name, watcher=watcher)
    )
    if not report.sound:
        raise RestoreDiffers([f"{finding['path']}: {finding['problem']}" for finding in report.findings])
    return backup_records.of_rehearsal(report)


def ask_for_due(engine: Engine, settings: Settings, *, now: datetime | None = None) -> list[str]:
    """Make the jobs that are due and do not exist yet; the kinds of those that this call made."""
    with session_scope(engine) as session:
        due = backup_schedule.due(session, now=now or utc_now(), timezone=settings.timezone)
    return [one.kind for one in due if _create(engine, one.kind, one.job_id, dict(one.args))]


def run_backup_schedule(engine: Engine, settings: Settings, stop: threading.Event) -> None:
    """Look every minute, until `stop`; the first look is at the start, which makes up for missed nights."""
    while not stop.is_set():
        try:
            for kind in ask_for_due(engine, settings):
                log.info("asked for", kind=kind)
        except SQLAlchemyError as error:
            log.warning("the schedule of backups could not be read, again in a minute", error=str(error))
        stop.wait(LOOK_SECONDS)


def _ask_for(engine: Engine, kind: str, day: date, args: dict[str, Any]) -> None:
    _create(engine, kind, backup_schedule.job_id(kind, day), args)


def _create(engine: Engine, kind: str, job_id: Any, args: dict[str, Any]) -> bool:
    try:
        with session_scope(engine) as session:
            jobs.create(session, kind=kind, args=args, job_id=job_id)
    except IntegrityError:
        return False  # another clock, or an earlier attempt, was faster
    return True


def _when_free(context: JobContext, work: Callable[[], T]) -> T:
    """A job waits for its turn: somebody may have pressed a button in the night."""
    while True:
        try:
            return work()
        except BackupRunning as error:
            context.report(0.0, f"waiting: another {error.what} is running")
            context.pause(WAIT_SECONDS)


def _watcher(context: JobContext, phase: str = "") -> Watcher:
    """Reports to the row, and stops the work when the job must stop."""
    said = [phase]

    def on_step(step: str) -> None:
        said[0] = PHASES.get(step, said[0])
        context.report(0.0, said[0])
        if step != "committed":  # then it is made, and the job should say so
            context.check()

    def on_progress(done: int, total: int, failed: int) -> None:
        context.report(done / total if total else 0.0, said[0])
        context.check()

    return Watcher(on_step=on_step, on_progress=on_progress, check=context.check)
