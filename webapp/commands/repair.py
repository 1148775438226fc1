"""`flask repair-results`: every stored result in the forms that the storage mode asks for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from flask.cli import with_appcontext

from webapp.commands.terminal import FINDINGS, problems, progress, say, say_json
from webapp.extensions import db, settings

if TYPE_CHECKING:
    from storage_core.repair import RepairReport


@click.command("repair-results")
@click.option("--dry-run", is_flag=True, help="Look at everything, write nothing, and say what would happen.")
@click.option("--deep", is_flag=True, help="Compare every file with its sha256, not only its presence and size.")
@click.option("--remove-other", is_flag=True, help="Also take away the form that RESULT_STORAGE_MODE does not ask for.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@with_appcontext
def repair_results(dry_run: bool, deep: bool, remove_other: bool, as_json: bool) -> None:
    """Write what stored results miss of what RESULT_STORAGE_MODE asks for: Parquet from JSON, or JSON from Parquet.

    Safe while backtests run, and to run again after a crash. Ends with status 1 when a result could not be repaired.

    Example: flask repair-results --dry-run
    """
    from storage_core.repair import repair

    with problems(), progress("Repairing") as step:
        report = repair(db.engine, settings(), dry_run=dry_run, deep=deep, remove_other=remove_other, on_progress=step)
    if as_json:
        say_json(report.as_dict())
    else:
        _say(report)
    if report.failed:
        sys.exit(FINDINGS)


def _say(report: RepairReport) -> None:
    would = "would be " if report.dry_run else ""
    say(f"{report.checked:>8,} checked, the mode is {report.mode}")
    say(f"{len(report.repaired):>8,} {would}repaired")
    say(f"{len(report.failed):>8,} failed")
    for task_id, what in report.repaired.items():
        say(f"{task_id}: {what}")
    for task_id, why in report.failed.items():
        say(f"{task_id}: {why}", err=True)
