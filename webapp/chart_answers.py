"""Answers with chart data: the part of time that was asked for, and strong validators."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from flask import Response, abort, request

from webapp.localtime import from_chart
from webapp.login import person

if TYPE_CHECKING:
    from webapp.charts import Window

KEEP = "private, max-age=31536000, immutable"
ASK_AGAIN = "private, no-cache"
LATEST_SECOND = 32_503_680_000.0  # the year 3000


def asked_window() -> Window:
    """`from` and `to` of the request, in the chart's own seconds."""
    from webapp.charts import Window

    start, end = asked_instant("from"), asked_instant("to")
    if start is not None and end is not None and start > end:
        abort(400, "from is after to.")
    return Window(start, end, person().timezone)


def asked_instant(name: str) -> datetime | None:
    """An instant of the request in the chart's own seconds."""
    text = request.args.get(name)
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= LATEST_SECOND:
        abort(400, f"{name} was {text[:40]!r}; allowed: seconds since 1970.")
    return from_chart(seconds, person().timezone)


def answered(current: str, parts: Sequence[object], make: Callable[[], str]) -> Response:
    """Chart data of the version `current`, made only when the browser has not got it yet."""
    from webapp import charts

    tag = charts.etag(current, *parts)
    known = _known(tag)
    response = Response(status=304) if known else Response(make(), content_type="application/json")
    response.set_etag(tag)
    # Only an address that names this version can promise never to change.
    response.headers["Cache-Control"] = KEEP if request.args.get("v") == current else ASK_AGAIN
    response.vary.add("Cookie")
    return response


def _known(tag: str) -> bool:
    """Whether the browser has this answer. Compression marks a tag with its method, which changes nothing here."""
    return any(known.partition(":")[0] == tag for known in request.if_none_match.as_set())
