"""Was this very backtest run before? Its key is the digest of everything that decides its result.

That is: the source of the strategy with all it imports, the source of the engine, the whole spec with every default
resolved (params, costs, rules), and the bars themselves. The worker stores the key with the result; the web computes
it before a run, by reading files only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage_core.bar_store import BarStore
from storage_core.errors import NoBars
from storage_core.models import Backtest, CustomStrategy
from storage_core.sources import engine_sha256, shipped_strategy_sha256


def run_key(spec: Mapping[str, Any], *, strategy_sha256: str, engine_sha256: str, data: Mapping[str, str]) -> str:
    """The key, 64 hexadecimal digits. `spec` as of `spec_to_dict`; `data`: the fingerprint of each symbol's bars."""
    facts = {"spec": dict(spec), "strategy": strategy_sha256, "engine": engine_sha256, "data": dict(data)}
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def find_already_run(session: Session, run_key: str, *, owner_id: int | None = None) -> Backtest | None:
    """The newest completed backtest with this key that was not deleted; of `owner_id` only, unless that is None."""
    found = select(Backtest).where(
        Backtest.run_key == run_key, Backtest.status == "completed", Backtest.deleted_at.is_(None)
    )
    if owner_id is not None:
        found = found.where(Backtest.owner_id == owner_id)
    return session.scalars(found.order_by(Backtest.created_at.desc(), Backtest.task_id).limit(1)).one_or_none()


def ask(
    session: Session, store: BarStore, spec: Mapping[str, Any], *, signals: str | None, owner_id: int | None = None
) -> Backtest | None:
    """The backtest that already gave what `spec` would give now, or None. A hit is to be offered, never forced.

    `signals` is the dotted path of a shipped strategy in the catalogue; None for people's own, which are known by
    what the workers published. Bars that are missing are a miss here; the door says what is wrong with them.
    """
    if signals is not None:
        strategy: str | None = shipped_strategy_sha256(signals)
    else:
        own = session.get(CustomStrategy, spec["strategy"])
        strategy = own.sha256 if own is not None and own.error is None else None
    if strategy is None:
        return None
    try:
        data = data_fingerprints(store, spec)
    except NoBars:
        return None
    key = run_key(spec, strategy_sha256=strategy, engine_sha256=engine_sha256(), data=data)
    return find_already_run(session, key, owner_id=owner_id)


def data_fingerprints(store: BarStore, spec: Mapping[str, Any]) -> dict[str, str]:
    """sha256 of the bars that a run of `spec` would read, by symbol; read once for each state of a file.

    Raises NoBars and BarsDamaged.
    """
    start, end = day_range(
        date.fromisoformat(spec["start_date"]), date.fromisoformat(spec["end_date"]), spec["timezone"]
    )
    prints = {}
    for symbol in spec["symbols"]:
        path = store.path(symbol, spec["timeframe"])
        stat = path.stat() if path.exists() else None
        state = (stat.st_ino, stat.st_mtime_ns, stat.st_size) if stat else (0, 0, 0)
        prints[symbol] = _fingerprint(
            store.root, symbol, spec["timeframe"], (start, end), spec.get("candle_size"), state
        )
    return prints


def day_range(first: date, last: date, timezone: str) -> tuple[datetime, datetime]:
    """From the first instant of the day `first` to the first after the day `last`, in `timezone`."""
    zone = ZoneInfo(timezone)
    midnight = datetime.min.time()
    after = last + timedelta(days=1) if last < date.max else last  # there is no day after the last of year 9999
    return datetime.combine(first, midnight, zone), datetime.combine(after, midnight, zone)


@lru_cache(maxsize=4096)
def _fingerprint(
    root: Path,
    symbol: str,
    timeframe: str,
    between: tuple[datetime, datetime],
    newest: int | None,
    _state: tuple[int, int, int],
) -> str:
    from storage_core.bar_table import BarTable, fingerprint

    bars = BarStore(root).read(symbol, timeframe, *between)
    if newest is not None:
        bars = BarTable(**{name: column[-newest:] for name, column in bars.columns().items()})
    return fingerprint(bars)
