"""What the page of the storage shows."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypedDict
from uuid import UUID

from flask_babel import gettext as _
from flask_babel import ngettext

from storage_core import modes
from storage_core.backtest_keeping import UNDO_FOR
from storage_core.models import Job
from storage_core.settings import Settings
from storage_core.stats import OLDER, Share, Stats
from webapp.filters import file_size
from webapp.phrases import said, strategy_name

ACTIVE: Final = ("queued", "running")
CLEAN_UP, UNDELETE = "cleanup_results", "undelete_results"
VERIFY, RECONCILE = "verify-results", "reconcile-results"
ALMOST_FULL: Final = 0.8


class DiskLine(TypedDict):
    """One disk that holds something of ours."""

    what: str
    free: int
    size: int
    used: float
    full: bool


class SideLine(TypedDict):
    """One form of results: how many are kept so, and how many of those that should be are not."""

    side: str
    asked_for: bool
    kept: int
    missing: int


class CheckLine(TypedDict):
    """The last run of a check. `bad`: how many results it found damaged; None = it has not run yet."""

    title: str
    at: datetime | None
    said: str
    bad: int | None


class ShareLine(TypedDict):
    """One group, with its share of all bytes (0 to 1)."""

    name: str
    backtests: int
    bytes: int
    trades: int
    share: float


class WorkLine(TypedDict):
    """A clean-up, or the taking back of one, under way or ended."""

    id: UUID
    title: str
    active: bool
    failed: bool
    progress: float
    said: str
    at: datetime
    can_delete: bool
    can_undo: bool


def ctx_disks(settings: Settings) -> list[DiskLine]:
    """The disks, each once, with what lies on it."""
    places: dict[int, list[tuple[str, Path]]] = {}
    for what, path in (
        (_("data"), settings.data_dir),
        (_("results"), settings.results_dir),
        (_("backups"), Path(settings.backups_uri)),
    ):
        if path.is_dir():
            places.setdefault(path.stat().st_dev, []).append((what, path))
    lines: list[DiskLine] = []
    for found in places.values():
        size, _used, free = shutil.disk_usage(found[0][1])
        used = 1 - free / size
        what = ", ".join(what for what, _path in found)
        lines.append({"what": what, "free": free, "size": size, "used": used, "full": used > ALMOST_FULL})
    return lines


def ctx_sides(mode: str, kept: Mapping[str, int], missing: Mapping[str, int]) -> list[SideLine]:
    """Each form of results under the storage mode."""
    return [
        {
            "side": side,
            "asked_for": side in modes.MODES[mode],
            "kept": sum(count for stores, count in kept.items() if side in modes.sides_of(stores)),
            "missing": missing.get(side, 0),
        }
        for side in reversed(modes.SIDES)
    ]


def ctx_shares(shares: Sequence[Share], stats: Stats) -> list[ShareLine]:
    """Groups with their part of the whole."""
    whole = max(stats.total.bytes, 1)
    return [
        {
            "name": one.name,
            "backtests": one.backtests,
            "bytes": one.bytes,
            "trades": one.trades,
            "share": one.bytes / whole,
        }
        for one in shares
    ]


def ctx_strategies(stats: Stats) -> list[ShareLine]:
    """The groups by strategy."""
    return [{**line, "name": strategy_name(line["name"])} for line in ctx_shares(stats.by_strategy, stats)]


def ctx_ages(stats: Stats) -> list[ShareLine]:
    """The groups by age: each has what is older than the group before."""
    words = {OLDER: _("older")}
    lines = ctx_shares(stats.by_age, stats)
    return [{**line, "name": words.get(line["name"], _("up to %(age)s", age=said(line["name"])))} for line in lines]


def ctx_checks(verify: Job | None, reconcile: Job | None) -> list[CheckLine]:
    """When results were last read again, and rows last compared with files."""
    read = {} if verify is None else verify.outcome
    compared = {} if reconcile is None else reconcile.outcome
    put_right = sum(compared.get(name, 0) for name in ("staging_removed", "adopted", "trashed"))
    return [
        {
            "title": _("Results read again (a seventh each day)"),
            "at": None if verify is None else verify.finished_at,
            "said": ngettext("%(num)s result", "%(num)s results", read.get("results", 0)) if verify else "",
            "bad": None if verify is None else read.get("damaged", 0),
        },
        {
            "title": _("Rows compared with files (every hour)"),
            "at": None if reconcile is None else reconcile.finished_at,
            "said": ngettext("%(num)s thing put right", "%(num)s things put right", put_right) if reconcile else "",
            "bad": None if reconcile is None else compared.get("damaged", 0),
        },
    ]


def ctx_work(job: Job, now: datetime) -> WorkLine:
    """One clean-up, or the taking back of one."""
    active, done = job.status in ACTIVE, job.status == "completed"
    preview, outcome = job.args.get("dry_run", False), job.outcome
    fresh = job.finished_at is not None and now - job.finished_at < UNDO_FOR
    return {
        "id": job.job_id,
        "title": _("Take back") if job.kind == UNDELETE else _("Preview") if preview else _("Clean-up"),
        "active": active,
        "failed": job.status == "failed",
        "progress": job.progress,
        "said": _rules(job.args) + (said(job.phase) or _("waits for a worker") if active else _said(job)),
        "at": job.finished_at or job.created_at,
        "can_delete": done and preview and outcome.get("deleted", 0) > 0,
        "can_undo": done and fresh and bool(outcome.get("task_ids")),
    }


def _rules(args: Mapping[str, Any]) -> str:
    if "days" not in args:
        return ""
    parts = [_("older than %(days)s days", days=args["days"])]
    parts += [", ".join(said(one) for one in args["statuses"])] if args["statuses"] else []
    parts += [_("keep the best %(count)s of each strategy", count=args["keep_top"])] if args["keep_top"] else []
    return "; ".join(parts) + ": "


def _said(job: Job) -> str:
    outcome = job.outcome
    if job.status != "completed":
        return said(job.error_message or job.status)
    if job.kind == UNDELETE:
        back = ngettext("%(num)s backtest is back", "%(num)s backtests are back", outcome["back"])
        return back + (_(", %(count)s were gone for good", count=outcome["late"]) if outcome["late"] else "")
    count, size = outcome["deleted"], file_size(outcome["bytes"])
    if job.args["dry_run"]:
        done = ngettext(
            "would delete %(num)s backtest, %(size)s", "would delete %(num)s backtests, %(size)s", count, size=size
        )
    else:
        done = ngettext("deleted %(num)s backtest, %(size)s", "deleted %(num)s backtests, %(size)s", count, size=size)
    kept = outcome["kept_pinned"] + outcome["kept_top"]
    return done + (_("; keeps %(count)s that are pinned or among the best", count=kept) if kept else "")
