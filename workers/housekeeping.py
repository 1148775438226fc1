"""What sets the store right in the background: results that a crash left, and what is kept no longer."""

import threading

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from storage_core import audit, backtest_keeping, bar_upload_files
from storage_core.db import session_scope, utc_now
from storage_core.errors import StorageError
from storage_core.reconcile import Report, reconcile
from storage_core.settings import Settings
from workers.daily_verify import verify_part_of_today
from workers.integrity_alerts import note_round

log = structlog.get_logger("clock")

EVERY_SECONDS = 3600.0


def tidy(engine: Engine, settings: Settings) -> Report:
    """One round: reconcile folders and rows, then let go of what was deleted or sent too long ago."""
    began = utc_now()
    report = reconcile(engine, settings)
    if report.changed:
        log.info(
            "results set right",
            staging_removed=len(report.staging_removed),
            adopted=[str(task_id) for task_id in report.adopted],
            to_trash=report.trashed,
        )
    for task_id, problem in report.damaged.items():
        log.error("a stored result is missing or damaged", task_id=str(task_id), problem=problem)
    note_round(engine, settings, report, began=began)
    gone = backtest_keeping.purge(engine, settings)
    if gone:
        log.info("deleted for good", count=len(gone))
    bar_upload_files.tidy(settings)
    with session_scope(engine) as session:
        audit.purge(session)
    return report


def run_housekeeping(engine: Engine, settings: Settings, stop: threading.Event) -> None:
    """A round at the start and then every hour, until `stop`."""
    while not stop.is_set():
        try:
            tidy(engine, settings)
            verify_part_of_today(engine, settings)
        except (SQLAlchemyError, StorageError, OSError) as error:
            log.warning("housekeeping failed, the next round tries again", error=str(error))
        stop.wait(EVERY_SECONDS)
