"""Cleaning up old results as a job: a preview, the deletion itself, and taking it back."""

from typing import Any
from uuid import UUID

from storage_core.backtest_filters import Filters
from storage_core.chosen import Choice
from storage_core.cleanup import Report, Rules, clean_up, take_back
from workers.job_context import JobContext

MOST_IDS = 1_000
"""How many of the deleted are noted, so that the page can take them back."""


def clean_up_results(context: JobContext) -> dict[str, Any]:
    """Mark as deleted what the rules in `args` choose (`dry_run`: only find it); what was and why is the outcome."""
    args = context.args
    rules = Rules(
        days=args["days"],
        filters=Filters(statuses=tuple(args["statuses"])),
        keep_top=args["keep_top"],
    )

    def on_progress(done: int, total: int, _failed: int) -> None:
        context.report(done / max(total, 1), "looking" if args["dry_run"] else "deleting")
        context.check()

    report = clean_up(
        context.engine, context.settings, rules, by=args["by"], dry_run=args["dry_run"], on_progress=on_progress
    )
    return _outcome(report)


def undelete_results(context: JobContext) -> dict[str, Any]:
    """Take back the deletion of the backtests in `args`; how many are back, and how many were gone for good."""
    chosen = Choice(task_ids=tuple(UUID(one) for one in context.args["task_ids"]))
    back, late = take_back(context.engine, chosen, by=context.args["by"])
    return {"back": len(back), "late": len(late)}


def _outcome(report: Report) -> dict[str, Any]:
    ids = [str(task_id) for task_id in report.deleted] if len(report.deleted) <= MOST_IDS else []
    return {
        "deleted": len(report.deleted),
        "bytes": report.bytes,
        "kept_pinned": report.kept_pinned,
        "kept_top": report.kept_top,
        "purged": len(report.purged),
        "task_ids": [] if report.dry_run else ids,
    }
