"""The pages of the bars: inventory, one symbol and timeframe, and the jobs that fetch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypedDict
from uuid import UUID

from flask_babel import gettext as _
from flask_babel import ngettext

from storage_core.bar_quality import Quality
from storage_core.bar_store import TIMEFRAMES, Coverage
from storage_core.models import Job
from webapp.filters import count, duration, signed_percent
from webapp.phrases import said

ACTIVE: Final = ("queued", "running")
WIDTH: Final = 1000
NARROWEST: Final = 3
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Span(TypedDict):
    """A part of the coverage bar."""

    x: float
    width: float


class Line(TypedDict):
    """One symbol and timeframe of the inventory."""

    symbol: str
    timeframe: str
    rows: int
    first: datetime
    last: datetime
    bytes: int
    word: str
    said: str
    bar: Span
    gaps: Sequence[Span]


class JobLine(TypedDict):
    """A job that fetches."""

    id: UUID
    title: str
    status: str
    active: bool
    progress: float
    said: str
    detail: str
    conflicts: Sequence[Any]
    created_at: datetime
    stoppable: bool
    stopping: bool


def ctx_inventory(coverages: Sequence[Coverage]) -> list[Line]:
    """All bars, each drawn on the one axis of time that holds all of them."""
    if not coverages:
        return []
    first, last = min(one.first for one in coverages), max(one.last for one in coverages)
    return [ctx_line(one, first, last) for one in coverages]


def ctx_line(one: Coverage, first: datetime, last: datetime) -> Line:
    """One of them on an axis from `first` to `last`."""
    quality = one.quality
    gaps = quality.largest_gaps if quality else ()
    bar = _span(one.first, one.last, first, last)
    # A hole is drawn wide enough to be seen, but all of them leave most of a short bar blue.
    narrowest = min(NARROWEST, bar["width"] / (4 * max(len(gaps), 1)))
    return {
        "symbol": one.symbol, "timeframe": one.timeframe, "rows": one.rows, "first": one.first, "last": one.last,
        "bytes": one.bytes, "word": quality.word if quality else "",
        "said": "; ".join(quality_words(quality, one.timeframe)) if quality else _("not looked at yet"),
        "bar": bar,
        "gaps": [
            _span(_instant(start), _instant(end), first, last, narrowest=narrowest) for start, end, _missing in gaps
        ],
    }  # fmt: skip


def quality_words(quality: Quality, timeframe: str) -> list[str]:
    """What is to be said about bars, the worst first; one sentence when all is well."""
    words = []
    if quality.missing_bars:
        share = signed_percent(100 * quality.missing_bars / (quality.rows + quality.missing_bars)).lstrip("+")
        words.append(
            ngettext(
                "%(bars)s missing (%(share)s) in %(num)s gap", "%(bars)s missing (%(share)s) in %(num)s gaps",
                quality.gaps, bars=count(quality.missing_bars), share=share,
            )
        )  # fmt: skip
    if quality.off_grid_bars:
        words.append(
            _("%(n)s bars do not open on the %(timeframe)s", n=count(quality.off_grid_bars), timeframe=timeframe)
        )
    if quality.jump_count:
        words.append(ngettext("%(num)s jump in price", "%(num)s jumps in price", quality.jump_count))
    if quality.zero_volume_bars:
        silence = duration(quality.longest_silence * TIMEFRAMES[timeframe])
        words.append(
            _("%(n)s bars without volume, at most %(time)s long", n=count(quality.zero_volume_bars), time=silence)
        )
    return words or [_("no gaps, no jumps, volume throughout")]


class GapLine(TypedDict):
    """A hole: the bars around it, and how much is missing."""

    before: datetime
    after: datetime
    missing: int


class JumpLine(TypedDict):
    """A close far from the one before."""

    at: datetime
    percent: float


def ctx_gaps(quality: Quality) -> list[GapLine]:
    """The largest holes, the largest first."""
    found = sorted(quality.largest_gaps, key=lambda gap: -gap[2])
    return [{"before": _instant(start), "after": _instant(end), "missing": missing} for start, end, missing in found]


def ctx_jumps(quality: Quality) -> list[JumpLine]:
    """The first jumps, in order of time."""
    return [{"at": _instant(after), "percent": 100 * move} for _before, after, move in quality.jumps]


def ctx_job(job: Job, *, stoppable: bool) -> JobLine:
    """A job as people read it."""
    args, outcome = job.args, job.outcome
    since = datetime.fromisoformat(args["start"])
    title = _("%(symbol)s %(timeframe)s from %(exchange)s since %(day)s", symbol=args["symbol"],
              timeframe=args["timeframe"], exchange=args["exchange"].capitalize(), day=f"{since:%Y-%m-%d}")  # fmt: skip
    return {
        "id": job.job_id, "title": title, "status": job.status, "active": job.status in ACTIVE,
        "progress": job.progress, "said": _said(job), "detail": _detail(job),
        "conflicts": outcome.get("examples", []) if job.status == "completed" else [], "created_at": job.created_at,
        "stoppable": stoppable and job.status in ACTIVE, "stopping": job.cancel_requested_at is not None,
    }  # fmt: skip


def _said(job: Job) -> str:
    if job.status == "running":
        shown = f"{100 * job.progress:.0f}%"
        return _("stopping") if job.cancel_requested_at else f"{shown} · {said(job.phase)}" if job.phase else shown
    if job.status == "queued":
        return _("waits to try again: %(why)s", why=said(job.error_message)) if job.error_message else _("queued")
    if job.status == "failed":
        return said(job.error_message or "failed")
    if job.status == "cancelled":
        return _("cancelled; what had been stored stays")
    outcome = job.outcome
    if not outcome.get("rows"):
        return _("the exchange has no such bars")
    added = ngettext("%(n)s bar added", "%(n)s bars added", outcome["added"], n=count(outcome["added"]))
    return added + ", " + _("%(n)s stored", n=count(outcome["rows"]))


def _detail(job: Job) -> str:
    conflicts = job.outcome.get("conflicts", 0)
    if job.status != "completed" or not conflicts:
        return ""
    number = count(conflicts)
    if job.args.get("wins") == "new":
        return ngettext("%(n)s stored bar was replaced", "%(n)s stored bars were replaced", conflicts, n=number)
    return ngettext(
        "%(n)s stored bar differs and was kept", "%(n)s stored bars differ and were kept", conflicts, n=number
    )


def _span(start: datetime, end: datetime, first: datetime, last: datetime, *, narrowest: float = NARROWEST) -> Span:
    whole = max((last - first).total_seconds(), 1.0)
    x = min(WIDTH * (start - first).total_seconds() / whole, WIDTH - narrowest)
    width = max(WIDTH * (end - start).total_seconds() / whole, narrowest)
    return {"x": round(x, 1), "width": round(min(width, WIDTH - x), 1)}


def _instant(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)
