"""The job that fetches bars from an exchange: a page at a time, stored in batches, from where it stopped."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from storage_core.bar_names import COLUMNS
from storage_core.bar_store import TIMEFRAMES, BarStore
from storage_core.bar_table import BarTable
from storage_core.bars import bar_store_for
from storage_core.fetch_request import FetchRequest
from workers.exchanges import Exchange, Page, open_exchange
from workers.exchanges.errors import UnknownTimeframe
from workers.job_context import JobContext

BARS_A_BATCH, SECONDS_A_BATCH = 20_000, 10.0
"""A batch rewrites the file, and what is not stored yet is fetched again after a kill."""
MOST_EXAMPLES = 10


class Batches:
    """Pages on their way to the store, and the figures of what became of them."""

    def __init__(self, context: JobContext, request: FetchRequest, store: BarStore) -> None:
        self._context, self._request, self._store = context, request, store
        self._pages: list[Page] = []
        self._since = time.monotonic()
        kept = {"next": None, "pages": 0, "added": 0, "same": 0, "conflicts": 0, "examples": [], **context.state}
        self.figures: dict[str, Any] = kept

    @property
    def next(self) -> datetime | None:
        """Where an earlier attempt got to."""
        return datetime.fromisoformat(self.figures["next"]) if self.figures["next"] else None

    def take(self, page: Page) -> None:
        """Add a page; a full batch is stored."""
        self._pages.append(page)
        self.figures["pages"] += 1
        waiting = sum(len(one.timestamp) for one in self._pages)
        if waiting >= BARS_A_BATCH or time.monotonic() - self._since > SECONDS_A_BATCH:
            self.store(page.next)

    def store(self, next_: datetime | None) -> None:
        """Store what was taken, then note where to go on: killed in between, those bars come again and are the same."""
        columns = [page.columns() for page in self._pages]
        self._pages, self._since = [], time.monotonic()
        bars = (
            BarTable(**{name: np.concatenate([one[name] for one in columns]) for name in COLUMNS}) if columns else None
        )
        if bars is not None and len(bars):
            self._merge(bars)
        self.figures["next"] = next_ and next_.isoformat()
        self._context.keep(self.figures)

    def _merge(self, bars: BarTable) -> None:
        symbol, timeframe = self._request.symbol, self._request.timeframe
        _, found = self._store.merge_planned(symbol, timeframe, bars, wins=self._request.wins)
        for name in ("added", "same", "conflicts"):
            self.figures[name] += getattr(found, name)
        room = MOST_EXAMPLES - len(self.figures["examples"])
        self.figures["examples"] += [
            {"at": one.at.isoformat(), "stored": one.stored, "new": one.new} for one in found.examples[:room]
        ]


def fetch_bars(context: JobContext) -> dict[str, Any]:
    """Fetch what `context.args` (a FetchRequest) asks for; the outcome says what was added and what differed."""
    request = FetchRequest.from_args(context.args)
    exchange = open_exchange(request.exchange, context.settings, context.pause)
    try:
        return _fetch(context, request, exchange)
    finally:
        exchange.close()


def _fetch(context: JobContext, request: FetchRequest, exchange: Exchange) -> dict[str, Any]:
    if request.timeframe not in exchange.timeframes:
        raise UnknownTimeframe(exchange.name, request.timeframe, list(exchange.timeframes))
    store = bar_store_for(context.settings)
    batches = Batches(context, request, store)
    context.report(0.0, f"asking {exchange.name}")
    at, end = batches.next or _begin(exchange, request), request.end or datetime.now(UTC)
    begin = min(request.start, at) if at is not None else request.start
    while at is not None and at < end:
        context.check()
        page = exchange.page(request.symbol, request.timeframe, start=at, end=end)
        batches.take(page)
        at = page.next
        if at is not None:
            context.report((at - begin) / (end - begin), _phase(batches, at))
    batches.store(end)
    return _outcome(batches, request, store)


def _begin(exchange: Exchange, request: FetchRequest) -> datetime | None:
    """Where to begin: not before the exchange has bars, and at the opening of one."""
    first = exchange.first(request.symbol, request.timeframe)
    if first is None:
        return None
    seconds = TIMEFRAMES[request.timeframe]
    start = max(first, request.start)
    return datetime.fromtimestamp(-(-start.timestamp() // seconds) * seconds, UTC)


def _phase(batches: Batches, at: datetime) -> str:
    figures = batches.figures
    return f"{at - timedelta(seconds=1):%Y-%m-%d}, {figures['pages']:,} pages, {figures['added']:,} bars added"


def _outcome(batches: Batches, request: FetchRequest, store: BarStore) -> dict[str, Any]:
    stored = next(
        (one for one in store.inventory() if (one.symbol, one.timeframe) == (request.symbol, request.timeframe)), None
    )
    figures = {name: value for name, value in batches.figures.items() if name != "next"}
    if stored is None:
        return {**figures, "rows": 0}
    return {**figures, "rows": stored.rows, "first": stored.first.isoformat(), "last": stored.last.isoformat()}
