"""The result store from the terminal: reconcile, verify, clean up, take back, figures."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click
from flask.cli import with_appcontext

from storage_core.backtest_filters import Filters
from storage_core.backtest_list import BEST
from storage_core.chosen import Choice, Sample, unknown_ids
from webapp.audit import audit
from webapp.commands.store_options import filter_options
from webapp.commands.terminal import FINDINGS, problems, progress, say, say_json
from webapp.extensions import db, settings
from webapp.filters import file_size

if TYPE_CHECKING:
    from storage_core.cleanup import Item, Report
    from storage_core.reconcile import Report as Reconciled
    from storage_core.stats import Share, Stats

BY = "command"
WIDEST = 40
json_option = click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
ids_argument = click.argument("task_ids", type=click.UUID, nargs=-1, metavar="[TASK_ID]...")


class Part(click.ParamType[Sample]):
    """1/7: one seventh, another one each day."""

    name = "part"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Sample:
        """The part whose turn it is today (UTC)."""
        found = re.fullmatch(r"1/([1-9][0-9]{0,3})", str(value))
        if not found:
            self.fail(f"{value!r} is not a part such as 1/7", param, ctx)
        return Sample(int(found[1]), datetime.now(UTC).toordinal())


@click.command("reconcile-results")
@with_appcontext
@click.option("--dry-run", is_flag=True, help="Change nothing, and say what would be done.")
@click.option("--deep", is_flag=True, help="Also read every result again and compare its sha256.")
@json_option
def reconcile_results(dry_run: bool, deep: bool, as_json: bool) -> None:
    """Bring folders and rows back into agreement after a crash. Safe at any time; nothing needed is deleted.

    Ends with status 1 when the files of a completed result are missing or damaged.

    Example: flask reconcile-results --dry-run
    """
    from storage_core.reconcile import reconcile

    with problems():
        report = reconcile(db.engine, settings(), dry_run=dry_run, deep=deep)
    if as_json:
        adopted = [str(task_id) for task_id in report.adopted]
        damaged = {str(task_id): problem for task_id, problem in report.damaged.items()}
        say_json({**asdict(report), "adopted": adopted, "damaged": damaged, "dry_run": dry_run})
    else:
        _say_reconciled(report, dry_run=dry_run)
    sys.exit(FINDINGS if report.damaged else 0)


@click.command("verify-results")
@with_appcontext
@ids_argument
@click.option("--sample", type=Part(), default=None, metavar="1/N", help="Only one part of N, another one each day.")
@filter_options(but=("statuses",))
@json_option
def verify_results(task_ids: tuple[UUID, ...], sample: Sample | None, filters: Filters, as_json: bool) -> None:
    """Read stored results again and compare them with all that is known of them; name every damaged file.

    Compared are manifests, sizes, sha256, rows, the order of times, formulas and counts. Nothing is changed. Ends with
    status 1 when something is wrong.

    Example: flask verify-results --sample 1/7
    """
    from storage_core.verify import verify

    choice = _choice(filters, task_ids, sample)
    with problems(), progress("Verifying") as step:
        report = verify(db.engine, settings(), choice, on_progress=step)
    if as_json:
        say_json(report.as_dict())
    else:
        for finding in report.findings:
            say(f"{finding.path}: {finding.problem}")
        size = file_size(report.bytes)
        say(f"{report.results:>8,} results read: {report.files:,} files, {size}, {report.rows:,} rows")
        say(f"{report.damaged:>8,} of them damaged")
    sys.exit(FINDINGS if report.damaged else 0)


@click.command("cleanup-results")
@with_appcontext
@click.option("--days", type=click.FloatRange(0, 36_500), required=True, help="Submitted more than so many days ago.")
@click.option("--keep-pinned", is_flag=True, help="Pinned ones are kept in any case; this only says so.")
@click.option("--keep-top", type=click.IntRange(0), default=0, metavar="N", help="Keep the N best of each strategy.")
@click.option(
    "--best", type=click.Choice(BEST), default="-sharpe", show_default=True, metavar="ORDER", help="What is best."
)
@click.option("--dry-run", is_flag=True, help="Change nothing, and print what the real run would do.")
@filter_options(but=("deleted", "pinned"))
@json_option
def cleanup_results(filters: Filters, dry_run: bool, as_json: bool, **asked: Any) -> None:
    """Mark old backtests deleted, and take away for good what has been marked for 7 days.

    Within these 7 days `flask undelete-results` takes it back. What is pinned, queued or running stays.

    Example: flask cleanup-results --days 90 --keep-top 20 --dry-run
    """
    from storage_core.cleanup import Rules, clean_up

    rules = Rules(days=asked["days"], filters=filters, keep_top=asked["keep_top"], best=asked["best"])
    items: list[Item] = []
    with problems(), progress("Cleaning up") as step:
        report = clean_up(db.engine, settings(), rules, by=BY, dry_run=dry_run, on_item=items.append, on_progress=step)
    if not dry_run:
        audit("results.cleaned_up", "", days=asked["days"], keep_top=asked["keep_top"])
        db.session.commit()
    if as_json:
        say_json(report.as_dict())
    else:
        _say_cleaned(report, items)


@click.command("undelete-results")
@with_appcontext
@ids_argument
@click.option("--all", "everything", is_flag=True, help="Everything that can still be taken back.")
@click.option("--dry-run", is_flag=True, help="Change nothing, and say what would be taken back.")
@filter_options(but=("deleted",))
@json_option
def undelete_results(
    task_ids: tuple[UUID, ...], everything: bool, dry_run: bool, filters: Filters, as_json: bool
) -> None:
    """Take back deletions of the last 7 days: of these ids, of all that pass the filters, or --all.

    Ends with status 1 when one of them was deleted too long ago.

    Example: flask undelete-results --strategy sma_cross --dry-run
    """
    from storage_core.cleanup import take_back

    if not (task_ids or everything or filters != Filters()):
        raise click.UsageError("name backtests by id or by filters, or say --all")
    choice = _choice(filters, task_ids)
    with problems():
        back, late = take_back(db.engine, choice, by=BY, dry_run=dry_run)
    if back and not dry_run:
        audit("results.restored", "", count=len(back))
        db.session.commit()
    if as_json:
        ids = {"restored": [str(task_id) for task_id in back], "too_late": [str(task_id) for task_id in late]}
        say_json({"dry_run": dry_run, **ids})
    else:
        for task_id in back:
            say(f"{task_id}")
        say(f"{len(back):>8,} taken back")
        for task_id in late:
            say(f"{task_id} was deleted too long ago", err=True)
    sys.exit(FINDINGS if late else 0)


@click.command("storage-stats")
@with_appcontext
@click.option(
    "--largest", type=click.IntRange(0, 1_000), default=10, show_default=True, help="How many of the largest."
)
@filter_options(but=("deleted",))
@json_option
def storage_stats(largest: int, filters: Filters, as_json: bool) -> None:
    """Say how much is stored: by strategy, by state, by age, and the largest results.

    Example: flask storage-stats --strategy sma_cross
    """
    from storage_core import stats

    with problems():
        found = stats.storage_stats(db.engine, filters, largest=largest)
    if as_json:
        say_json(found.as_dict())
    else:
        _say_stats(found)


def _choice(filters: Filters, task_ids: tuple[UUID, ...], sample: Sample | None = None) -> Choice:
    """What is asked for; an id that names nothing is wrong use."""
    choice = Choice(filters=filters, task_ids=task_ids, sample=sample)
    with problems():
        if unknown := unknown_ids(db.engine, choice):
            raise click.UsageError(f"there is no backtest {unknown[0]}")
    return choice


def _say_reconciled(report: Reconciled, *, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    lines: list[tuple[str, Any]] = [
        (f"stale staging, {would}removed", report.staging_removed),
        (f"whole results without a row, {would}adopted", report.adopted),
        (f"{would}moved to the trash", [f"{name} ({reason})" for name, reason in report.trashed.items()]),
        (f"old trash, {would}removed", report.trash_emptied),
        ("in use, left alone", report.busy),
        ("not ours, left alone", report.foreign),
    ]
    for words, found in lines:
        say(f"{len(found):>8,} {words}")
        for one in found:
            say(f"         {one}")
    say(f"{len(report.damaged):>8,} completed results missing or damaged")
    for problem in report.damaged.values():
        say(f"         {problem}", err=True)


def _say_cleaned(report: Report, items: list[Item]) -> None:
    """The same lines for a dry run and for the run; only the last one tells them apart."""
    for item in items:
        say(f"{item.task_id}  {item.created_at:%Y-%m-%d}  {item.status:9}  {file_size(item.bytes):>9}  {item.strategy}")
    say(f"{len(items):>8,} deleted ({file_size(report.bytes)}), to be undone for 7 days")
    say(f"{report.kept_pinned:>8,} kept because they are pinned")
    say(f"{report.kept_top:>8,} kept because they are among the best")
    for task_id in report.purged:
        say(f"{task_id}  deleted 7 days ago or more")
    say(f"{len(report.purged):>8,} gone for good")
    if report.dry_run:
        say("Dry run: nothing was changed.")


def _say_stats(found: Stats) -> None:
    for title, shares in (("Strategy", found.by_strategy), ("State", found.by_status), ("Submitted", found.by_age)):
        say(f"{title:{WIDEST}} {'backtests':>10} {'bytes':>10} {'trades':>13}")
        for share in shares:
            _say_share(share, "within " if title == "Submitted" and share.name != "older" else "")
        say("")
    _say_share(found.total)
    say(f"{found.deleted.backtests:,} more are marked deleted ({file_size(found.deleted.bytes)}).")
    if found.largest:
        say("\nLargest")
    for one in found.largest:
        say(f"{one.task_id}  {one.created_at:%Y-%m-%d}  {file_size(one.bytes):>9}  {one.trades:>11,}  {one.strategy}")


def _say_share(share: Share, before: str = "") -> None:
    name = (before + share.name)[:WIDEST]
    say(f"{name:{WIDEST}} {share.backtests:>10,} {file_size(share.bytes):>10} {share.trades:>13,}")
