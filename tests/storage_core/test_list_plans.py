"""How PostgreSQL walks the list at 100,000 rows: along an index, reading little more than it shows."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert, text

from storage_core.backtest_cursor import COUNT, DATE, TEXT, Place, write_cursor
from storage_core.backtest_filters import Filters
from storage_core.backtest_list import BEST, SORTS, list_page
from storage_core.backtests import counts, requeue_lost
from storage_core.db import make_engine, session_scope, utc_now
from storage_core.fair_queue import in_line
from storage_core.migrate import upgrade
from storage_core.models import User
from tests.databases import fresh_postgresql_database

ROWS = 100_000
PEOPLE = ("has nearly all", "has 100, long ago", "has none")
FILL = text("""
    INSERT INTO backtest_results (task_id, strategy, symbols, start_date, end_date, timeframe, status, metadata,
        created_at, updated_at, params, spec, source, note, pinned, tags, attempt, progress, phase, queued_at, revision,
        owner_id, shared, sharpe, total_return_pct, trade_count)
    SELECT gen_random_uuid(), (ARRAY['sma_cross','rsi_reversion','donchian_breakout','macd_cross'])[1 + n / 11 % 4],
        jsonb_build_array('KRW-' || (ARRAY['BTC','ETH','XRP','SOL','DOGE','ADA','DOT'])[1 + n % 7]),
        date '2024-01-01' + n % 200, date '2024-08-01' + n % 90, (ARRAY['1h','1d','5m'])[1 + n % 3],
        CASE WHEN n % 100 = 0 THEN 'failed' WHEN n % 5000 = 1 THEN 'queued' WHEN n % 20000 = 2 THEN 'running'
        ELSE 'completed' END, '{}', now() - n * interval '1 minute', now(), '{}', '{}',
        (ARRAY['web','api','sweep'])[1 + n % 3],
        CASE WHEN n % 1000 = 3 THEN 'a note about ' || n ELSE '' END, n % 500 = 4,
        CASE WHEN n % 300 = 5 THEN '["trend"]'::jsonb ELSE '[]'::jsonb END, 1, 1, '', now(), 1,
        CASE WHEN n % 2000 = 8 THEN NULL WHEN n > 70000 AND n % 300 = 9 THEN 2 ELSE 1 END, n % 1500 = 10,
        CASE WHEN n % 100 > 2 THEN 6 * random() - 3 END, CASE WHEN n % 100 > 2 THEN 100 * random() - 50 END, n % 300
    FROM generate_series(1, :rows) AS n
""")

SHARED_BY_MANY = tuple(sort for sort in SORTS if sort not in BEST)
HOT: list[tuple[str, dict[str, Any]]] = [
    ("newest", {}),
    ("oldest", {"sort": "created_at"}),
    ("strategy and status", {"filters": Filters(strategies=["sma_cross"], statuses=["completed"])}),
    ("failed", {"filters": Filters(statuses=["failed"])}),
    ("running and queued", {"filters": Filters(statuses=["running", "queued"])}),
    ("symbol", {"filters": Filters(symbols=["KRW-XRP"])}),
    ("rare symbol", {"filters": Filters(symbols=["KRW-NONE"])}),
    ("best", {"sort": "-sharpe"}),
    ("worst", {"sort": "sharpe"}),
    ("largest return", {"sort": "-total_return_pct"}),
    ("smallest drawdown", {"sort": "max_drawdown_pct"}),
    ("fewest trades", {"sort": "trade_count"}),
    *((f"by {sort}", {"sort": sort}) for sort in SHARED_BY_MANY),
    ("latest period of a strategy", {"sort": "-start_date", "filters": Filters(strategies=["macd_cross"])}),
    ("a strategy, by strategy", {"sort": "-strategy", "filters": Filters(strategies=["donchian_breakout"])}),
    ("a state, by state", {"sort": "status", "filters": Filters(statuses=["failed"])}),
    ("best of the good", {"sort": "sharpe", "filters": Filters(metrics={"sharpe": (2.5, None)})}),
    ("best of a strategy", {"sort": "-sharpe", "filters": Filters(strategies=["macd_cross"])}),
    ("return range, best first", {"sort": "-sharpe", "filters": Filters(metrics={"total_return_pct": (10.0, 20.0)})}),
    ("narrow return range", {"sort": "-sharpe", "filters": Filters(metrics={"total_return_pct": (10.0, 10.05)})}),
    ("note", {"filters": Filters(text="note about 77")}),
    ("no such note", {"filters": Filters(text="nothing")}),
    ("pinned", {"filters": Filters(pinned=True)}),
    ("tag", {"filters": Filters(tags=["trend"])}),
    (
        "a day",
        {
            "filters": Filters(
                submitted_from=datetime(2020, 1, 1, tzinfo=UTC), submitted_to=datetime(2020, 1, 2, tzinfo=UTC)
            )
        },
    ),
]


@pytest.fixture(scope="module")
def full(postgres_server: str) -> Iterator[Engine]:
    """A database of its own with 100,000 rows."""
    with fresh_postgresql_database(postgres_server) as url:
        upgrade(url)
        engine = make_engine(url)
        with engine.begin() as connection:
            connection.execute(insert(User), [{"name": name, "role": "trader", "password_hash": ""} for name in PEOPLE])
            connection.execute(FILL, {"rows": ROWS})
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE backtest_results"))
        yield engine
        engine.dispose()


def plans(engine: Engine, ask: Any) -> list[dict[str, Any]]:
    """The plans, with what really happened, of every SELECT that `ask(session)` makes."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        with session_scope(engine) as session:
            ask(session)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    found = []
    with engine.connect() as connection:
        for statement, parameters in asked:
            if statement.startswith(("SELECT", "UPDATE", "WITH")):
                explained = connection.exec_driver_sql(
                    f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters
                )
                found.append(explained.scalar_one()[0]["Plan"])
    return found


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def assert_walks_an_index(found: list[dict[str, Any]], *, blocks: int) -> None:
    assert found
    for plan in found:
        shape = json.dumps(plan, indent=1)
        assert not [node for node in nodes(plan) if node["Node Type"] == "Seq Scan"], shape
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < blocks, shape


@pytest.mark.parametrize("owner_id", [None, 1, 2, 3], ids=["admin", *PEOPLE])
@pytest.mark.parametrize(("name", "question"), HOT, ids=[name for name, _ in HOT])
def test_hot_lists_never_scan(full: Engine, name: str, question: dict[str, Any], owner_id: int | None) -> None:
    """The first page, and the page after it, whoever asks: neither reads the table, nor a good part of it."""
    question = {**question, "owner_id": owner_id}
    assert_walks_an_index(plans(full, lambda session: list_page(session, **question)), blocks=1500)
    with session_scope(full) as session:
        older = list_page(session, **question).older
    if older is not None:
        assert_walks_an_index(plans(full, lambda session: list_page(session, after=older, **question)), blocks=1500)


@pytest.mark.parametrize("sort", SHARED_BY_MANY)
def test_a_deep_page_of_what_many_share(full: Engine, sort: str) -> None:
    """In the middle of many equal values and past their end, both ways, a page reads little more than it shows."""
    name, down = sort.removeprefix("-"), sort.startswith("-")
    key = {"symbols": "symbols::text", "note": "substr(note, 1, 60)"}.get(name, name)
    by_text = "" if name.endswith(("_date", "_id")) else ' COLLATE "C"'
    places = text(f"""SELECT {key}, task_id, created_at FROM backtest_results WHERE {key} IS NOT NULL
        ORDER BY {key}{by_text} {"DESC" if down else "ASC"} OFFSET 40 LIMIT 1""")  # noqa: S608
    with full.connect() as connection:
        value, task_id, at = connection.execute(places).one()
    kind = {"owner_id": COUNT}.get(name, DATE if name.endswith("_date") else TEXT)
    for when in (at, at.replace(year=1990), at.replace(year=2100)):
        cursor = write_cursor(Place(0, kind, value, task_id, when), sort)
        for question in ({"after": cursor}, {"before": cursor}):
            for owner_id in (None, 1):
                ask = lambda session: list_page(session, sort=sort, owner_id=owner_id, **question)  # noqa: B023, E731
                assert_walks_an_index(plans(full, ask), blocks=1500)


def test_a_deep_page_costs_what_the_first_costs(full: Engine) -> None:
    first, deep = (plans(full, lambda session, cursor=cursor: list_page(session, after=cursor))[0]
                   for cursor in (None, _deep(full)))  # fmt: skip
    assert deep["Actual Rows"] == first["Actual Rows"] == 26
    blocks = [plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] for plan in (first, deep)]
    assert blocks[1] <= blocks[0] + 10


def test_the_clock_never_scans(full: Engine) -> None:
    for ask in (counts, requeue_lost, lambda session: in_line(session, limit=100, now=utc_now())):
        assert_walks_an_index(plans(full, ask), blocks=200)


def _deep(engine: Engine) -> str | None:
    """A cursor in the middle of the list, by way of the row there."""
    offset = text("SELECT created_at FROM backtest_results ORDER BY created_at DESC OFFSET 50000 LIMIT 1")
    with engine.connect() as connection:
        middle = connection.execute(offset).scalar_one()
    with session_scope(engine) as session:
        return list_page(session, filters=Filters(submitted_to=middle)).older
