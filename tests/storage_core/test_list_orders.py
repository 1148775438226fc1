"""The list by columns that many rows share: every row once, in either direction, and cursors that are made up."""

import json
import random
import uuid
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Engine

from storage_core.backtest_list import BEST, SORTS, list_page
from storage_core.db import session_scope
from storage_core.errors import BadCursor
from storage_core.models import User
from tests.storage_core.listed import ME, OTHER, fill, made, pages, written

SHARED_BY_MANY = tuple(sort for sort in SORTS if sort not in BEST)
LONG = "가" * 70


@pytest.fixture
def alike(engine: Engine) -> list[dict[str, Any]]:
    """Rows of two people and of nobody that differ in few values, with capitals, other letters and long notes."""
    dice = random.Random(11)  # noqa: S311
    with session_scope(engine) as session:
        session.add_all([User(id=ME, name="ada", role="trader", password_hash=""),
                         User(id=OTHER, name="bob", role="trader", password_hash="")])  # fmt: skip
    rows = [
        made(
            number,
            strategy=dice.choice(["sma_cross", "Sma_cross", "own_b", "Äther"]),
            timeframe=dice.choice(["1h", "15m", "1d"]),
            status=dice.choice(["completed", "failed", "queued"]),
            source=dice.choice(["web", "api"]),
            symbols=dice.choice([["KRW-BTC"], ["KRW-BTC", "KRW-ETH"], ["BTC-ETH"], [f"KRW-C{n}" for n in range(40)]]),
            start_date=date(2024, 1, dice.choice([1, 2])),
            end_date=date(2024, 2, dice.choice([1, 2])),
            note=dice.choice(["", "", "b", "B", "é", LONG, LONG + "x", 'with "quotes"\n\\']),
            owner_id=dice.choice([None, ME, OTHER]),
            shared=dice.random() < 0.3,
        )
        for number in range(45)
    ]
    fill(engine, rows)
    return rows


def shown(row: dict[str, Any], name: str) -> Any:
    """What a row is sorted by; None: it comes last."""
    starts = {"symbols": json.dumps(row["symbols"]).replace(", ", ",")[:95], "note": row["note"][:60] or None}
    return starts.get(name, row.get(name))


def in_order(rows: list[dict[str, Any]], sort: str) -> list[uuid.UUID]:
    """A to Z, or the latest day first, each time the newest first; the other direction is the reverse of that."""
    name, down = sort.removeprefix("-"), sort.startswith("-")
    newest = sorted(rows, key=lambda row: (row["created_at"], row["task_id"]), reverse=True)
    having = [row for row in newest if shown(row, name) is not None]
    having.sort(key=lambda row: shown(row, name), reverse=name.endswith("_date"))
    if down != name.endswith("_date"):
        having.reverse()
    return [row["task_id"] for row in having + [row for row in newest if shown(row, name) is None]]


@pytest.mark.parametrize("sort", SHARED_BY_MANY)
def test_orders_by_what_many_rows_share(engine: Engine, alike: list[dict[str, Any]], sort: str) -> None:
    for owner_id, seen in (
        (None, alike),
        (ME, [row for row in alike if row["owner_id"] in (ME, None) or row["shared"]]),
    ):
        right = in_order(seen, sort)
        for size in (1, 7, 200):
            question = {"size": size, "sort": sort, "owner_id": owner_id}
            assert [task_id for page in pages(engine, **question) for task_id in page] == right
            back = list(pages(engine, **question, back=True))
            assert [task_id for page in reversed(back) for task_id in page] == right


ID, LATER = uuid.UUID(int=1).hex, 1_700_000_000_000_000
MADE_UP = [
    ("strategy", (0, "s", "a" * 101, ID, LATER)), ("strategy", (0, "s", "a\x00b", ID, LATER)),
    ("strategy", (0, "s", "\ud800", ID, LATER)), ("strategy", (0, "s", 5, ID, LATER)),
    ("strategy", (0, "s", "a", ID)), ("strategy", (0, "s", "a", ID, 10**30)), ("strategy", (0, "s", "a", ID, LATER, 1)),
    ("strategy", (0, "n", 1, ID, 1)), ("strategy", (0, "s", None, ID, LATER)), ("note", (1, "s", "a", ID, LATER)),
    ("note", (2, "s", "a", ID, LATER)), ("note", (True, "t", LATER, ID)), ("owner_id", (0, "i", 2**31, ID, LATER)),
    ("owner_id", (0, "i", "1", ID, LATER)), ("owner_id", (0, "i", 1.5, ID, LATER)), ("trade_count", (0, "i", 1e30, ID)),
    ("trade_count", (0, "i", -10**30, ID)), ("-start_date", (0, "d", "2024-13-01", ID, LATER)),
    ("-start_date", (0, "d", 20240101, ID, LATER)), ("-start_date", (0, "t", LATER, ID)),
]  # fmt: skip


@pytest.mark.parametrize(("sort", "parts"), MADE_UP)
def test_made_up_cursors_of_other_columns(engine: Engine, sort: str, parts: tuple[Any, ...]) -> None:
    with session_scope(engine) as session, pytest.raises(BadCursor):
        list_page(session, sort=sort, after=written(sort, *parts))


@pytest.mark.parametrize(("sort", "value"), [("owner_id", 2**31 - 1), ("owner_id", -5), ("strategy", "'; --%s")])
def test_places_where_nothing_is(engine: Engine, sort: str, value: Any) -> None:
    fill(engine, [made(1)])
    cursor = written(sort, 0, "s" if sort == "strategy" else "i", value, ID, LATER)
    with session_scope(engine) as session:
        assert len(list_page(session, sort=sort, after=cursor).rows) == 1
        assert not list_page(session, sort=sort, before=cursor).newer


def test_the_longest_cursor_can_be_read(engine: Engine) -> None:
    fill(
        engine, [made(number, strategy="힣" * 100, symbols=["\U0001f600" * 100], note='"' * 80) for number in range(2)]
    )
    for sort in SORTS:
        assert sum(len(page) for page in pages(engine, size=1, sort=sort)) == 2
