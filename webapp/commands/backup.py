"""`flask backup`: take, list, verify, prune, restore and rehearse backups."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from flask.cli import with_appcontext
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from storage_core.chosen import Sample
from storage_core.db import session_scope, utc_now
from storage_core.object_settings import storage_uri
from webapp.commands.store import Part
from webapp.commands.terminal import FINDINGS, DatabaseAddress, problems, progress, say, say_json
from webapp.extensions import db, settings
from webapp.filters import file_size
from workers import VERSION

if TYPE_CHECKING:
    from storage_core.backup_manifest import Manifest
    from storage_core.backup_verify import Report as Verified
    from storage_core.restore import Restored

DATABASE = "coin-hts.sqlite3"
json_option = click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
name_argument = click.argument("backup", metavar="BACKUP")


@click.group("backup", invoke_without_command=True)
@click.pass_context
def backup(ctx: click.Context) -> None:
    """Backups of the database, results, bars and own strategies; alone: take one.

    Example: flask backup
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(create)


@backup.command("create")
@with_appcontext
@json_option
def create(as_json: bool = False) -> None:
    """Take a backup to BACKUP_URI. Safe at any time; what is there already is not sent again.

    Ends with status 1 when files are missing or damaged; they are named, and the backup holds everything else.

    Example: flask backup create --json
    """
    from storage_core import backup as backups
    from storage_core import backup_records
    from storage_core.backup_schedule import BACKUP
    from storage_core.backup_watcher import Watcher

    began = utc_now()
    with problems(), progress("Backing up") as step:
        made = backups.create(db.engine, settings(), release=VERSION, watcher=Watcher(on_progress=step))
        _record(BACKUP, backup_records.of_backup(made), began)
    if as_json:
        say_json(_as_dict(made))
    else:
        for problem in made.problems:
            say(f"{problem.path}: {problem.problem}")
        size, sent = file_size(made.total_bytes), file_size(made.added_bytes)
        say(f"Backup {made.id}: {made.file_count:,} files, {made.result_count:,} results, {size}")
        say(f"{made.added_count:,} files, {sent}, were new; {made.seconds:.1f} seconds")
    sys.exit(FINDINGS if made.problems else 0)


@backup.command("list")
@with_appcontext
@json_option
def list_command(as_json: bool) -> None:
    """List the backups, the oldest first, and what checks of them came to.

    Example: flask backup list
    """
    from storage_core.backup_store import backup_store
    from storage_core.backup_summary import summaries

    with problems():
        found = summaries(backup_store(settings()))
    if as_json:
        say_json({"backups": [one.as_dict() for one in found]})
        return
    for one in found:
        size = "damaged" if one.manifest is None else file_size(one.manifest.total_bytes)
        files = "" if one.manifest is None else f"{one.manifest.file_count:,} files"
        said = [f"{note.what} {note.at:%Y-%m-%d}{'' if note.sound else ': DAMAGED'}" for note in one.notes]
        say(f"{one.id:<18} {size:>10} {files:>14}  {', '.join(said)}".rstrip())
    if not found:
        say("There are no backups yet. Take one: flask backup")


@backup.command("verify")
@with_appcontext
@click.argument("names", nargs=-1, metavar="[BACKUP]...")
@click.option("--sample", type=Part(), default=None, metavar="1/N", help="Only one part of N, another one each day.")
@click.option("--set-aside", is_flag=True, help="Move damaged objects away: the next backup sends them anew.")
@json_option
def verify(names: tuple[str, ...], sample: Sample | None, set_aside: bool, as_json: bool) -> None:
    """Read backups again (none named: all) and compare everything with its sha256; name what is damaged.

    Needs no database. Ends with status 1 when something is damaged or gone.

    Example: flask backup verify --sample 1/7
    """
    from storage_core import backup_records, backup_verify
    from storage_core.backup_schedule import VERIFY
    from storage_core.backup_store import backup_store

    began, part = utc_now(), sample and backup_verify.Part(sample.parts, sample.turn)
    with problems(), progress("Verifying") as step:
        report = backup_verify.verify(backup_store(settings()), names, part=part, set_aside=set_aside, on_progress=step)
    _record(VERIFY, backup_records.of_verify(report), began)
    if as_json:
        say_json(report.as_dict())
    else:
        _say_verified(report)
    sys.exit(FINDINGS if report.findings else 0)


@backup.command("prune")
@with_appcontext
@click.option("--dry-run", is_flag=True, help="Change nothing, and say what would go.")
@json_option
def prune(dry_run: bool, as_json: bool) -> None:
    """Keep the newest backup of 7 days, 4 weeks and 12 months; let the others go, and what only they name.

    Example: flask backup prune --dry-run
    """
    from storage_core import backup_prune, backup_records
    from storage_core.backup_schedule import PRUNE

    began = utc_now()
    with problems(), progress("Pruning") as step:
        report = backup_prune.prune(db.engine, settings(), dry_run=dry_run, on_progress=step)
        if not dry_run:
            _record(PRUNE, backup_records.of_prune(report), began)
    if as_json:
        say_json(report.as_dict())
        return
    would = "would go" if dry_run else "went"
    say(f"{len(report.kept):>8,} backups stay")
    say(f"{len(report.removed):>8,} {would}{': ' if report.removed else ''}{', '.join(report.removed)}")
    say(f"{report.objects:>8,} objects that no backup names {would}, {file_size(report.bytes)}")


@backup.command("restore")
@with_appcontext
@name_argument
@click.option("--into", type=click.Path(path_type=Path), required=True, help="An empty folder: the new DATA_DIR.")
@click.option("--database-url", type=DatabaseAddress(), help=f"An empty database; left out: {DATABASE} in that folder.")
@click.option(
    "--results-into", metavar="URI", help="An empty s3://bucket/prefix for the results, instead of the folder."
)
@json_option
def restore(backup: str, into: Path, database_url: URL | None, results_into: str | None, as_json: bool) -> None:
    """Restore BACKUP (its name, or latest) into an empty place; what runs now is not touched.

    Everything is compared with its sha256, and every table with its number of rows. What is not empty is refused and
    left as it is. After a crash the same command goes on.

    Example: flask backup restore latest --into /srv/coin-hts-restored
    """
    from storage_core.backup_store import backup_store
    from storage_core.backup_watcher import Watcher
    from storage_core.object_store import provider_for
    from storage_core.restore import Target
    from storage_core.restore import restore as bring_back

    folder = into.expanduser().absolute()
    url = database_url or URL.create("sqlite", database=str(folder / DATABASE))
    with problems(), progress("Restoring") as step:
        place = storage_uri("--results-into", results_into) if results_into else None
        target = Target(
            folder=folder,
            database_url=url.render_as_string(hide_password=False),
            results=provider_for(place, settings()) if place else None,
        )
        done = bring_back(backup_store(settings()), backup, target, watcher=Watcher(on_progress=step))
    switch = {"DATA_DIR": str(folder), "DATABASE_URL": url.render_as_string(), "BACKUP_URI": settings().backups_uri}
    switch |= {"RESULTS_URI": place} if place else {}
    if as_json:
        say_json({**done.as_dict(), "switch": switch})
    else:
        _say_restored(done, switch)
    sys.exit(FINDINGS if done.missing else 0)


@backup.command("rehearse")
@with_appcontext
@click.argument("backup", default="latest")
@json_option
def rehearse(backup: str, as_json: bool) -> None:
    """Restore BACKUP (left out: the newest) into scratch, verify every result there, and delete the scratch.

    Ends with status 1 when anything is not as it was.

    Example: flask backup rehearse
    """
    from storage_core import backup_records, backup_rehearse
    from storage_core.backup_schedule import REHEARSE
    from storage_core.backup_watcher import Watcher

    began = utc_now()
    with problems(), progress("Rehearsing") as step:
        report = backup_rehearse.rehearse(db.engine, settings(), backup, watcher=Watcher(on_progress=step))
        if report.sound:
            _record(REHEARSE, backup_records.of_rehearsal(report), began)
    if as_json:
        say_json(report.as_dict())
    else:
        for finding in report.findings:
            say(f"{finding['path']}: {finding['problem']}")
        size = file_size(report.bytes)
        say(f"Backup {report.backup} restored into scratch: {report.files:,} files, {size}, {report.rows:,} rows")
        say(f"{report.results:,} results verified there, {len(report.findings):,} findings")
    sys.exit(0 if report.sound else FINDINGS)


def _record(kind: str, outcome: Mapping[str, Any], began: datetime) -> None:
    """Keep it beside the jobs; a backup can be verified, though, when there is no database any more."""
    from storage_core import backup_records

    try:
        with session_scope(db.engine) as session:
            backup_records.record(session, kind=kind, outcome=outcome, began=began, ended=utc_now())
    except DBAPIError as error:
        say(f"This is not noted in the database: {str(error.orig).splitlines()[0]}", err=True)


def _as_dict(made: Manifest) -> dict[str, Any]:
    return {**asdict(made), "created_at": made.created_at.isoformat(), "total_bytes": made.total_bytes}


def _say_verified(report: Verified) -> None:
    for finding in report.findings:
        say(f"{finding.where}: {finding.problem}")
        for path in finding.paths:
            say(f"    {path}")
        say(f"    in {', '.join(finding.backups)}{f'; backtest {finding.task_id}' if finding.task_id else ''}")
    part = f" (part {report.part})" if report.part else ""
    say(f"{len(report.backups):>8,} backups: {report.objects:,} objects read{part}, {file_size(report.bytes)}")
    say(f"{len(report.findings):>8,} of them damaged or gone")


def _say_restored(done: Restored, switch: Mapping[str, str]) -> None:
    for problem in done.missing:
        say(f"{problem['path']}: not in the backup, {problem['problem']}")
    say(f"Backup {done.backup} of {done.created_at} is restored. Compared, and equal:")
    size, tables = file_size(done.bytes), len(done.tables)
    say(f"{done.files:>10,} files by their sha256, {size} with the database; {done.results:,} results")
    say(f"{done.rows:>10,} rows in {tables} tables, and the first and last rows of each; schema {done.revision}")
    say("To switch: stop coin-hts, set these, run flask db upgrade, and start it again. The old place stays as it is.")
    for name, value in switch.items():
        say(f"    {name}={value}")
    if "RESULTS_URI" not in switch:
        say("    RESULTS_URI must not be set: the results are in DATA_DIR.")
