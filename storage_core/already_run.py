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
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from storage_core.bar_fingerprints import fingerprint_now
from storage_core.bar_store import BarStore
from storage_core.errors import BarsDamaged, NoBars
from storage_core.models import Backtest, CustomStrategy
from storage_core.sources import engine_sha256, shipped_strategy_sha256

MOST_NEAR = 500
"""Backtests that differ from a spec in their params alone, above which they are not looked through."""


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
    if strategy is None or not _asked_before(session, spec, owner_id):
        return None
    try:
        data = data_fingerprints(store, spec)
    except (NoBars, BarsDamaged):
        return None
    key = run_key(spec, strategy_sha256=strategy, engine_sha256=engine_sha256(), data=data)
    return find_already_run(session, key, owner_id=owner_id)


def _asked_before(session: Session, spec: Mapping[str, Any], owner_id: int | None) -> bool:
    """Whether a completed backtest has this very spec: only then are the bars worth reading."""
    found = select(Backtest.spec).where(
        Backtest.run_key.is_not(None),
        Backtest.status == "completed",
        Backtest.deleted_at.is_(None),
        Backtest.strategy == spec["strategy"],
        Backtest.timeframe == spec["timeframe"],
        Backtest.start_date == date.fromisoformat(spec["start_date"]),
        Backtest.end_date == date.fromisoformat(spec["end_date"]),
    )
    if owner_id is not None:
        found = found.where(Backtest.owner_id == owner_id)
    wanted = json.loads(json.dumps(spec))
    near = session.scalars(found.limit(MOST_NEAR)).all()
    return len(near) == MOST_NEAR or any(one == wanted for one in near)


def data_fingerprints(store: BarStore, spec: Mapping[str, Any]) -> dict[str, str]:
    """sha256 of the bars that a run of `spec` would read, by symbol; read once for each state of a file.

    Raises NoBars and BarsDamaged.
    """
    start, end = day_range(
        date.fromisoformat(spec["start_date"]), date.fromisoformat(spec["end_date"]), spec["timezone"]
    )
    timeframe, newest = spec["timeframe"], spec.get("candle_size")
    return {symbol: fingerprint_now(store, symbol, timeframe, start, end, newest=newest) for symbol in spec["symbols"]}


def day_range(first: date, last: date, timezone: str) -> tuple[datetime, datetime]:
    """From the first instant of the day `first` to the first after the day `last`, in `timezone`."""
    zone = ZoneInfo(timezone)
    midnight = datetime.min.time()
    after = last + timedelta(days=1) if last < date.max else last  # there is no day after the last of year 9999
    return datetime.combine(first, midnight, zone), datetime.combine(after, midnight, zone)
