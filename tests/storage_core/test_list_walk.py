"""Lists whose rows lie far apart along their order: what a filter and an order find together, and in what time."""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date
from itertools import chain
from typing import Any

import pytest
from sqlalchemy import Engine

from storage_core import backtest_walk
from storage_core.backtest_filters import Filters
from storage_core.backtest_list import SORTS, count_up_to
from storage_core.db import make_engine, session_scope
from storage_core.migrate import upgrade
from storage_core.models import User
from tests.databases import fresh_postgresql_database
from tests.storage_core.listed import ME, NOON, OTHER, fill, made, pages

FILTERS = {
    "symbol": Filters(symbols=["KRW-ETH"]),
    "a strategy": Filters(strategies=["sma_cross"]),
    "two strategies": Filters(strategies=["sma_cross", "own_b"]),
    "state": Filters(statuses=["failed"]),
    "timeframe": Filters(timeframes=["15m"]),
    "source": Filters(sources=["api"]),
    "person": Filters(owner_id=ME),
    "metric": Filters(metrics={"sharpe": (0.5, None), "total_return_pct": (None, 5.0)}),
    "period": Filters(period_from=date(2024, 1, 2), period_to=date(2024, 2, 1)),
    "days": Filters(submitted_from=NOON.replace(minute=3), submitted_to=NOON.replace(minute=9)),
    "tag": Filters(tags=["trend"]),
    "two symbols": Filters(symbols=["KRW-ETH", "KRW-XRP"]),
    "what a person sees": Filters(visible_to=ME),
    "a symbol of what a person sees": Filters(visible_to=ME, symbols=["KRW-ETH"]),
}


COLUMNS = ("created_at", "sharpe", "trade_count", "strategy", "status", "symbols", "start_date", "note", "owner_id")
ORDERS = [sort for sort in SORTS if sort.removeprefix("-") in COLUMNS]
"""One of each kind."""
Unlike = tuple[Engine, list[dict[str, Any]]]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def unlike(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unlike]:
    """60 rows that differ in everything."""
    dice = random.Random(5)  # noqa: S311
    rows = []
    for number in range(60):
        status = dice.choice(["completed", "completed", "failed"])
        sharpe = round(dice.uniform(-2, 2), 1) if status == "completed" and dice.random() < 0.9 else None
        rows.append(
            made(
                number,
                strategy=dice.choice(["sma_cross", "own_b", "macd_cross"]),
                timeframe=dice.choice(["1h", "15m", "1d"]),
                status=status,
                source=dice.choice(["web", "api"]),
                symbols=dice.choice([["KRW-BTC"], ["KRW-BTC", "KRW-ETH"], ["KRW-ETH"]]),
                start_date=date(2024, 1, dice.choice([1, 2])),
                end_date=date(2024, 2, dice.choice([1, 2])),
                note=dice.choice(["", "b"]),
                tags=dice.choice([[], ["trend"]]),
                owner_id=dice.choice([None, ME, OTHER]),
                shared=dice.random() < 0.3,
                sharpe=sharpe,
                total_return_pct=None if sharpe is None else round(dice.uniform(-9, 9), 1),
            )
        )
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path_factory.mktemp('walk')}/rows.sqlite3"
        if request.param == "postgresql":
            url = stack.enter_context(fresh_postgresql_database(request.getfixturevalue("postgres_server")))
        upgrade(url)
        engine = make_engine(url)
        with session_scope(engine) as session:
            session.add_all([User(id=ME, name="ada", role="trader", password_hash=""),
                             User(id=OTHER, name="bob", role="trader", password_hash="")])  # fmt: skip
        fill(engine, rows)
        yield engine, rows
        engine.dispose()


def passes(row: dict[str, Any], filters: Filters) -> bool:
    """The filters, read once more in plain Python."""

    def within(value: Any, lowest: Any, highest: Any) -> bool:
        return value is not None and (lowest is None or value >= lowest) and (highest is None or value <= highest)

    return (
        (not filters.symbols or bool(set(filters.symbols) & set(row["symbols"])))
        and all(tag in row["tags"] for tag in filters.tags)
        and all(
            not wanted or row[name] in wanted
            for name, wanted in (
                ("strategy", filters.strategies),
                ("status", filters.statuses),
                ("timeframe", filters.timeframes),
                ("source", filters.sources),
            )
        )
        and (filters.owner_id is None or row["owner_id"] == filters.owner_id)
        and (filters.visible_to is None or row["shared"] or row["owner_id"] in (None, filters.visible_to))
        and all(within(row[name], *bounds) for name, bounds in filters.metrics.items())
        and within(row["start_date"], filters.period_from, None)
        and within(row["end_date"], None, filters.period_to)
        and (filters.submitted_from is None or row["created_at"] >= filters.submitted_from)
        and (filters.submitted_to is None or row["created_at"] < filters.submitted_to)
    )


@pytest.mark.parametrize("way", ["walked", "collected"])
@pytest.mark.parametrize("name", FILTERS)
def test_both_ways_find_the_same_rows_in_the_same_order(
    unlike: Unlike, name: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row that passes once, in each kind of order and page by page, whether the walk was in time or not."""
    if way == "collected":
        monkeypatch.setattr(backtest_walk, "rows_in_time", lambda session, query, milliseconds: None)
    engine, rows = unlike
    expected = {row["task_id"] for row in rows if passes(row, FILTERS[name])}
    assert expected
    with session_scope(engine) as session:
        assert count_up_to(session, filters=FILTERS[name]) == len(expected)
    for sort in ORDERS:
        whole = list(chain(*pages(engine, size=200, filters=FILTERS[name], sort=sort)))
        assert set(whole) == expected, sort
        assert len(whole) == len(expected), sort
        assert list(chain(*pages(engine, size=7, filters=FILTERS[name], sort=sort))) == whole, sort
