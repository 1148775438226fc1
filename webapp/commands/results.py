"""Legacy results from the terminal: migrate them in, roll them back."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click
from flask.cli import with_appcontext

from engine.catalog import STRATEGIES
from webapp.commands.terminal import Instant, problems, progress
from webapp.extensions import settings
from webapp.filters import file_size

if TYPE_CHECKING:
    from storage_core.legacy_report import Failure, Report
    from storage_core.legacy_rollback import RollbackReport

FOLDER = click.Path(path_type=Path, file_okay=False)
MEGABYTE = 2**20


@click.command("migrate-results")
@click.option("--source-dir", type=FOLDER, required=True, help="Folder that holds tasks/ and results/.")
@click.option("--dry-run", is_flag=True, help="Do everything but write, and say what would happen.")
@click.option("--batch-size", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Files a commit.")
@click.option("--force", is_flag=True, help="Store again what is stored already, as a new revision.")
@click.option("--cutoff", type=Instant(), default=None, help="Only results created before this date (UTC).")
@click.option("--jobs", type=click.IntRange(1, 64), default=os.cpu_count() or 1, show_default=True, help="Processes.")
@click.option(
    "--backup-dir", type=FOLDER, default=None, help="Where migrated files go; SOURCE_DIR/backups if left out."
)
@click.option("--report", "report_file", type=click.Path(path_type=Path, dir_okay=False), help="Write a JSON report.")
@click.option("--verify", is_flag=True, help="Also compare what was migrated earlier with its backups.")
@click.option("--strict", is_flag=True, help="Count doubts (checksums, counts) as failures.")
@click.option("--also-strategy", "also", multiple=True, metavar="NAME", help="Accept this strategy too.")
@click.option("--max-megabytes", type=click.IntRange(1, 10_000), default=64, show_default=True, help="Largest file.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@with_appcontext
def migrate_results(source_dir: Path, report_file: Path | None, as_json: bool, **asked: Any) -> None:
    """Migrate results of the legacy system: convert, store, compare, then move each file to the backups.

    Run it again after a crash; it goes on where it was. Ends with status 1 when a file could not be migrated.

    Example: flask migrate-results --source-dir /srv/legacy --dry-run
    """
    from storage_core import legacy_results
    from storage_core.legacy_parse import Rules
    from storage_core.legacy_row import LEGACY_STRATEGIES

    rules = Rules(
        strategies=LEGACY_STRATEGIES | set(STRATEGIES) | set(asked["also"]),
        max_bytes=asked["max_megabytes"] * MEGABYTE,
        strict=asked["strict"],
    )
    options = legacy_results.Options(
        source=source_dir,
        backup_dir=asked["backup_dir"] or legacy_results.default_backup_dir(source_dir),
        rules=rules,
        **{name: asked[name] for name in ("dry_run", "force", "verify", "cutoff")},
    )
    with problems(), progress("Migrating") as step:
        report = legacy_results.migrate(
            settings(), options, jobs=asked["jobs"], batch_size=asked["batch_size"], on_progress=step
        )
    _finish(report.as_dict(), report_file, as_json, lambda: _say_migrated(report))


@click.command("rollback-results")
@click.option("--target-dir", type=FOLDER, required=True, help="Where tasks/ and results/ are written.")
@click.option("--backup-dir", type=FOLDER, default=None, help="Also compare with the backups of the migration.")
@click.option("--task-id", "task_ids", type=click.UUID, multiple=True, help="Only this result; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Rebuild and compare everything, and write nothing.")
@click.option("--report", "report_file", type=click.Path(path_type=Path, dir_okay=False), help="Write a JSON report.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@with_appcontext
def rollback_results(
    target_dir: Path,
    backup_dir: Path | None,
    task_ids: tuple[UUID, ...],
    dry_run: bool,
    report_file: Path | None,
    as_json: bool,
) -> None:
    """Write migrated results back as the legacy JSON they were. Never overwrites; what is stored stays as it is.

    Example: flask rollback-results --target-dir /srv/legacy-again --backup-dir /srv/legacy/backups
    """
    from storage_core.legacy_rollback import roll_back

    with problems(), progress("Rolling back") as step:
        report = roll_back(
            settings(),
            target_dir,
            backup_dir=backup_dir,
            task_ids=task_ids,
            dry_run=dry_run,
            on_progress=step,
        )
    _finish(report.as_dict(), report_file, as_json, lambda: _say_rolled_back(report))


def _finish(report: dict[str, Any], file: Path | None, as_json: bool, say: Callable[[], None]) -> None:
    text = json.dumps(report, indent=2, ensure_ascii=False)
    if file is not None:
        try:
            file.write_text(text + "\n", encoding="utf-8", errors="replace")
        except OSError as error:
            raise click.ClickException(f"the report {file} cannot be written: {error.strerror}") from error
    if as_json:
        click.echo(text.encode(errors="replace").decode())
    else:
        say()
    if report["failed"]:
        sys.exit(1)


def _say_migrated(report: Report) -> None:
    would = "would be " if report.dry_run else ""
    click.echo(f"{report.found:>8,} found")
    click.echo(f"{report.migrated:>8,} {would}migrated")
    click.echo(f"{report.skipped:>8,} skipped{_because(report.skips)}")
    click.echo(f"{report.failed:>8,} failed")
    if report.verified:
        click.echo(f"{report.verified:>8,} migrated earlier, compared with their backups and equal")
    if report.reduction_pct is not None:
        before, after = file_size(report.bytes_before), file_size(report.bytes_after)
        change = "less" if report.reduction_pct >= 0 else "more"  # with JSON beside the tables
        click.echo(f"{before} before, {after} after: {abs(report.reduction_pct):.1f}% {change}")
    click.echo(f"{report.seconds:.1f} seconds, {report.files_per_second:.0f} files a second")
    for doubt in report.doubts:
        click.echo(f"doubt: {doubt}", err=True)
    _say_failures(report.failures)


def _say_rolled_back(report: RollbackReport) -> None:
    would = "would be " if report.dry_run else ""
    click.echo(f"{report.written:>8,} {would}written, {report.same_bytes:,} of them byte for byte as they were")
    click.echo(f"{report.there:>8,} there already and equal")
    click.echo(f"{len(report.failures):>8,} failed")
    _say_failures(report.failures)


def _say_failures(failures: list[Failure]) -> None:
    for failure in failures:
        click.echo(f"{failure}".encode(errors="replace").decode(), err=True)


def _because(skips: dict[str, int]) -> str:
    return f" ({'; '.join(f'{count:,} {reason}' for reason, count in skips.items())})" if skips else ""
