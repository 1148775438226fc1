"""How SQLite walks the list and what the header and the clock ask all the time: along an index, never the table."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert
from sqlalchemy.orm import Session

from storage_core.backtest_filters import Filters
from storage_core.backtest_list import BEST, SORTS, list_page
from storage_core.backtests import counts, requeue_lost
from storage_core.db import session_scope
from storage_core.models import User
from tests.storage_core.examples import many_queued, queued

ASKED = {
    "the header": counts,
    "silent workers": requeue_lost,
    "newest": list_page,
    "failed": lambda session: list_page(session, filters=Filters(statuses=["failed"])),
    "running and queued": lambda session: list_page(session, filters=Filters(statuses=["running", "queued"])),
    "strategy": lambda session: list_page(session, filters=Filters(strategies=["sma_cross"], statuses=["completed"])),
    "best": lambda session: list_page(session, sort="-sharpe"),
    "largest return": lambda session: list_page(session, sort="-total_return_pct"),
    "fewest trades": lambda session: list_page(session, sort="trade_count"),
    "symbol": lambda session: list_page(session, filters=Filters(symbols=["KRW-BTC"])),
    "tag": lambda session: list_page(session, filters=Filters(tags=["trend"])),
    "best of a symbol": lambda session: list_page(session, sort="-sharpe", filters=Filters(symbols=["KRW-BTC"])),
    "best of a return range": lambda session: list_page(
        session, sort="-sharpe", filters=Filters(metrics={"total_return_pct": (1.0, 2.0)})
    ),
    "note": lambda session: list_page(session, filters=Filters(text="rare")),
    "what one person sees": lambda session: list_page(session, owner_id=1),
    "shared": lambda session: list_page(session, filters=Filters(shared=True)),
    "pinned": lambda session: list_page(session, filters=Filters(pinned=True)),
}

ORDERS = tuple(sort for sort in SORTS if sort not in BEST)
HELD = {"symbol": "by_symbols_plain", "tag": "held_plain", "best of a symbol": "sharpe_plain",
        "best of a return range": "sharpe_plain"}  # fmt: skip
"""Which index holds what is asked for, so that the rows that do not have it are never read."""


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Only SQLite; PostgreSQL's plans depend on the number of rows and have a file of their own."""
    return sqlite_url


def plans(engine: Engine, ask: Callable[[Session], object]) -> list[str]:
    """The steps of the plans of every statement that `ask(session)` makes."""
    found: list[str] = []

    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "UPDATE")):
            plan = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            found.extend(step for *_, step in plan)

    event.listen(engine, "before_cursor_execute", explain)
    with session_scope(engine) as session:
        ask(session)
    event.remove(engine, "before_cursor_execute", explain)
    return found


@pytest.mark.parametrize("sort", ORDERS)
def test_walks_any_order_along_an_index(engine: Engine, sort: str) -> None:
    """The first page and the next one: neither collects all rows to sort them."""
    with engine.begin() as connection:
        connection.execute(insert(User).values(id=1, name="ada", role="trader", password_hash=""))
    for number in range(3):
        queued(engine, note=f"note {number}", owner_id=1)
    for question in ({}, {"after": next_page(engine, sort), "size": 1}):
        found = plans(engine, lambda session, question=question: list_page(session, sort=sort, **question))
        assert found
        assert not [step for step in found if "TEMP B-TREE" in step or "USING" not in step], found


def next_page(engine: Engine, sort: str) -> str | None:
    with session_scope(engine) as session:
        return list_page(session, sort=sort, size=1).older


@pytest.mark.parametrize("name", ASKED)
def test_never_scans_the_table(engine: Engine, name: str) -> None:
    many_queued(engine, 3)
    found = plans(engine, ASKED[name])
    steps = [step for step in found if "backtest_results" in step]
    assert steps
    for step in steps:
        assert "USING INDEX" in step or "USING COVERING INDEX" in step, found
    if name in ("the header", "silent workers", "failed", "running and queued"):
        assert all("unfinished" in step or "turn" in step or "flow" in step for step in steps), found
    if name in HELD:
        assert HELD[name] in steps[0], found
    if name == "symbol":
        assert "held_several_plain" in steps[1], found
    if name == "what one person sees":
        assert ["owner_newest" in steps[0], "for_all" in steps[1]] == [True, True], found
