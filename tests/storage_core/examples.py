"""Backtests and results to test with."""

import uuid
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Engine

from storage_core import backtests
from storage_core.backtests import Claim
from storage_core.db import session_scope
from storage_core.models import Backtest
from storage_core.result_store import ResultTables
from storage_core.schemas import SCHEMAS

METRICS = {"sharpe": 1.25, "total_return_pct": 12.5, "trade_count": 3, "calmar": None, "tail_ratio": 1.1}
METADATA: dict[str, Any] = {
    "sparkline": [1.0, 1.5, 1.25],
    "lookahead": {"ok": True, "prefixes": 8, "first_bar": None},
    "data": {"KRW-BTC": {"rows": 5, "sha256": "ab" * 32}},
    "versions": {"coin_hts": "0.1.0"},
}


def spec(**changes: Any) -> dict[str, Any]:
    """A request as `spec_to_dict` gives it, as far as the storage looks at it."""
    return {
        "strategy": "sma_cross",
        "params": {"fast": 10, "slow": 30},
        "symbols": ["KRW-BTC"],
        "timeframe": "1h",
        "start_date": "2024-01-01",
        "end_date": "2024-02-01",
        "costs": {"fee_rate": 0.001, "slippage_rate": 0.0002},
        **changes,
    }


def queued(engine: Engine, *, now: datetime | None = None, **changes: Any) -> uuid.UUID:
    """A backtest in the queue."""
    with session_scope(engine) as session:
        return backtests.create(session, spec=spec(**changes), owner_id=None, source="web", now=now).task_id


def many_queued(engine: Engine, count: int) -> list[uuid.UUID]:
    """Backtests in the queue."""
    with session_scope(engine) as session:
        return [backtests.create(session, spec=spec(), owner_id=None, source="web").task_id for _ in range(count)]


def many_claimed(engine: Engine, count: int) -> list[Claim]:
    """Backtests that this test runs, all from now."""
    made = many_queued(engine, count)
    with session_scope(engine) as session:
        claims = [backtests.claim(session, task_id, worker="test") for task_id in made]
    assert all(claims)
    return [claim for claim in claims if claim is not None]


def claimed(engine: Engine, task_id: uuid.UUID | None = None, *, now: datetime | None = None) -> Claim:
    """A backtest that this test runs."""
    task_id = task_id or queued(engine, now=now)
    with session_scope(engine) as session:
        claim = backtests.claim(session, task_id, worker="test", now=now)
    assert claim is not None
    return claim


def row(engine: Engine, task_id: uuid.UUID) -> Backtest:
    """The row as it is in the database now."""
    with session_scope(engine) as session:
        return backtests.get(session, task_id)


def kinds(engine: Engine, task_id: uuid.UUID) -> list[str]:
    """The log of a backtest: what happened, in order."""
    with session_scope(engine) as session:
        return [event.kind for event in backtests.events(session, task_id)]


def tables(rows: int = 5, *, symbols: tuple[str, ...] = ("KRW-BTC",), seed: int = 1) -> ResultTables:
    """Tables of the schemas with values of every kind: nulls, NaN, infinities, negative zero, tiny numbers."""
    random = np.random.default_rng(seed)
    made = {}
    for name, schema in SCHEMAS.items():
        count = len(symbols) if name == "symbol_summary" else rows
        made[name] = pa.table([_column(field, count, symbols, random) for field in schema], schema=schema)
    return ResultTables(**made)


def same_bits(one: pa.Table, other: pa.Table) -> bool:
    """Whether two tables are equal in every bit of every value: NaN is itself, and -0.0 is not 0.0."""
    if one.schema != other.schema or one.num_rows != other.num_rows:
        return False
    return all(_same_column(one[name], other[name]) for name in one.schema.names)


def _same_column(one: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    if not pa.types.is_floating(one.type):
        return one.equals(other)
    bits = [column.fill_null(0.0).to_numpy().view(np.int64) for column in (one, other)]
    return one.is_null().equals(other.is_null()) and np.array_equal(*bits)


def _column(field: pa.Field, count: int, symbols: tuple[str, ...], random: np.random.Generator) -> pa.Array:
    if field.name == "symbol":
        return pa.array(np.sort(np.resize(np.array(symbols, dtype=object), count)), pa.string())
    if pa.types.is_string(field.type):
        return pa.array(np.resize(np.array(["closed", "open", None], dtype=object), count), pa.string())
    if pa.types.is_timestamp(field.type):
        return pa.array(1_700_000_000_000_000 + np.arange(count) * 3_600_000_000, field.type)
    if pa.types.is_int32(field.type):
        return pa.array(np.arange(count, dtype=np.int32))
    values = random.normal(scale=1e3, size=count)
    strange = np.array([-0.0, 5e-324, np.nan, np.inf, -np.inf])
    values[: min(count, 5)] = strange[: min(count, 5)]
    mask = np.zeros(count, dtype=bool)
    mask[5:6] = True
    return pa.array(values, mask=mask)
