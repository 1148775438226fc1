"""The list: pages that neither lose nor repeat a row, in every order, under every filter."""

import random
import uuid
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from storage_core import backtests
from storage_core.backtest_filters import Filters
from storage_core.backtest_list import LISTED, SORTS, Page, count_up_to, list_page
from storage_core.db import session_scope
from storage_core.errors import BadCursor, BadFilter
from storage_core.models import Backtest, User
from tests.storage_core.listed import ME, NOON, OTHER, fill, made, pages, written


@pytest.fixture
def forty(engine: Engine) -> list[dict[str, Any]]:
    """Rows with equal instants, equal metrics and missing metrics."""
    dice = random.Random(7)  # noqa: S311
    values = [None, -1.5, 0.0, 0.1 + 0.2, 2.0, 2.0, 1e300]
    rows = [
        made(number, sharpe=dice.choice(values), trade_count=dice.choice([None, 0, 3, 3]), status=status)
        for number, status in enumerate(["completed"] * 32 + ["queued", "failed"] * 4)
    ]
    for row in rows[32:]:
        row["sharpe"] = row["trade_count"] = None
    fill(engine, rows)
    return rows


def expected(rows: list[dict[str, Any]], sort: str) -> list[uuid.UUID]:
    name, down = sort.removeprefix("-"), sort.startswith("-")
    having = sorted((row for row in rows if row[name] is not None), key=lambda row: (row[name], row["task_id"]))
    rest = sorted((row for row in rows if row[name] is None), key=lambda row: (row["created_at"], row["task_id"]))
    return [row["task_id"] for row in (having[::-1] if down else having) + rest[::-1]]


@pytest.mark.parametrize("sort", ["-created_at", "created_at", "-sharpe", "sharpe", "-trade_count", "trade_count"])
def test_every_order_both_ways(engine: Engine, forty: list[dict[str, Any]], sort: str) -> None:
    right = expected(forty, sort)
    for size in (1, 7, 40, 200):
        assert [task_id for page in pages(engine, size=size, sort=sort) for task_id in page] == right
        back = list(pages(engine, size=size, sort=sort, back=True))
        assert [task_id for page in reversed(back) for task_id in page] == right


def test_every_offered_order_works(engine: Engine) -> None:
    fill(engine, [made(number) for number in range(3)])
    for sort in SORTS:
        assert sum(len(page) for page in pages(engine, size=2, sort=sort)) == 3


def test_rows_that_come_and_go_in_between(engine: Engine) -> None:
    """Somebody submits and deletes while a person turns pages: no other row is missed or seen twice."""
    ids = fill(engine, [made(number) for number in range(30)])
    with session_scope(engine) as session:
        first = list_page(session, size=10)
    fill(engine, [made(number, created_at=NOON + timedelta(days=1)) for number in range(100, 105)])
    fill(engine, [made(200, created_at=NOON + timedelta(minutes=5))])  # between rows of a later page
    with session_scope(engine) as session:
        session.delete(session.get_one(Backtest, first.rows[-1].task_id))  # the row that the cursor names
    with session_scope(engine) as session:
        second = list_page(session, size=10, after=first.older)
        third = list_page(session, size=20, after=second.older)
        seen = [row.task_id for page in (first, second, third) for row in page.rows]
        assert len(seen) == len(set(seen))
        assert set(ids) <= set(seen)
        back = list_page(session, size=10, before=second.newer)
        assert [row.task_id for row in back.rows[1:]] == [row.task_id for row in first.rows[:9]]
        newest = list_page(session, size=10, before=back.newer)
        assert (len(newest.rows), newest.newer) == (4, None)


def mark_deleted(session: Session, page: Page) -> None:
    ids = [row.task_id for row in page.rows]
    session.execute(update(Backtest).where(Backtest.task_id.in_(ids)).values(deleted_at=NOON))


def test_beyond_the_ends(engine: Engine) -> None:
    fill(engine, [made(number) for number in range(4)])
    with session_scope(engine) as session:
        page = list_page(session, size=2)
        last = list_page(session, size=2, after=page.older)
        assert (len(last.rows), last.older) == (2, None)
        mark_deleted(session, last)
        empty = list_page(session, size=2, after=page.older)
        assert (list(empty.rows), empty.older) == ([], None)
        assert len(list_page(session, size=2, before=empty.newer).rows) == 1
        first = list_page(session, size=2, before=last.newer)
        mark_deleted(session, first)
        assert list(list_page(session, before=last.newer).rows) == []


def test_an_empty_list(engine: Engine) -> None:
    with session_scope(engine) as session:
        page = list_page(session)
        assert (list(page.rows), page.newer, page.older) == ([], None, None)


def test_the_size_is_kept_within_bounds(engine: Engine) -> None:
    fill(engine, [made(number) for number in range(3)])
    with session_scope(engine) as session:
        assert [len(list_page(session, size=size).rows) for size in (-5, 0, 10_000)] == [1, 1, 3]


BAD_CURSORS = ["", "x", "!!!", "a" * 5000, "ÄÖ", written(), written("-created_at", 0, "t", "1", uuid.uuid4().hex),
     written("-sharpe", 0, "n", 1.0, uuid.uuid4().hex), written("-created_at", 1, "t", 1, uuid.uuid4().hex),
     written("-created_at", 0, "t", 10**30, uuid.uuid4().hex), written("-created_at", 0, "t", 1, "no id"),
     written("-created_at", 0, "n", 1, uuid.uuid4().hex), written("-created_at", 0, "t", True, uuid.uuid4().hex),
     written("-created_at", [], "t", 1, uuid.uuid4().hex), written("-created_at", 0, "t", 1, 5)
]  # fmt: skip


def test_made_up_cursors_are_refused(engine: Engine) -> None:
    with session_scope(engine) as session:
        for cursor in BAD_CURSORS:
            for question in ({"after": cursor}, {"before": cursor}):
                with pytest.raises(BadCursor):
                    list_page(session, **question)


def test_a_row_of_the_list_is_light(engine: Engine) -> None:
    fill(engine, [made(1, sparkline=[1.0, 2.0], lookahead_ok=True)])
    with session_scope(engine) as session:
        row = list_page(session).rows[0]
        assert (row.sparkline, row.lookahead_ok, row.params) == ([1.0, 2.0], True, {})
        with pytest.raises(AttributeError):
            _ = row.metadata_
        whole = backtests.get(session, row.task_id)
        assert {name: getattr(row, name) for name in LISTED} == {name: getattr(whole, name) for name in LISTED}
        assert backtests.get(session, row.task_id).metadata_ == {}


@pytest.fixture
def of_everybody(engine: Engine) -> list[dict[str, Any]]:
    """Rows of two people and of nobody, some of them shared, some without a Sharpe."""
    with session_scope(engine) as session:
        session.add_all([User(id=ME, name="ada", role="trader", password_hash=""),
                         User(id=OTHER, name="bob", role="trader", password_hash="")])  # fmt: skip
    dice = random.Random(3)  # noqa: S311
    rows = [
        made(
            number,
            owner_id=dice.choice([ME, OTHER, OTHER, None]),
            shared=dice.random() < 0.3,
            sharpe=dice.choice([None, 0.5, 0.5, 2.0]),
        )
        for number in range(60)
    ]
    fill(engine, rows)
    return rows


@pytest.mark.parametrize("sort", ["-created_at", "created_at", "-sharpe", "sharpe"])
def test_a_person_sees_their_own_what_is_shared_and_what_is_nobodys(
    engine: Engine, of_everybody: list[dict[str, Any]], sort: str
) -> None:
    seen = [row for row in of_everybody if row["owner_id"] in (ME, None) or row["shared"]]
    kinds = {(row["owner_id"], row["shared"]) for row in seen}
    assert kinds == {(ME, True), (ME, False), (OTHER, True), (None, True), (None, False)}
    right = expected(seen, sort)
    for size in (1, 7, 200):
        assert [task_id for page in pages(engine, size=size, sort=sort, owner_id=ME) for task_id in page] == right
        back = list(pages(engine, size=size, sort=sort, owner_id=ME, back=True))
        assert [task_id for page in reversed(back) for task_id in page] == right


def test_counting_and_narrowing_what_a_person_sees(engine: Engine, of_everybody: list[dict[str, Any]]) -> None:
    seen = [row for row in of_everybody if row["owner_id"] in (ME, None) or row["shared"]]
    asked = {
        "all": ({}, seen),
        "own": ({"owner_id": ME}, [row for row in seen if row["owner_id"] == ME]),
        "of somebody": ({"owner_id": OTHER}, [row for row in seen if row["owner_id"] == OTHER]),
        "shared": ({"shared": True}, [row for row in seen if row["shared"]]),
        "not shared": ({"shared": False}, [row for row in seen if not row["shared"]]),
        "with a Sharpe": ({"metrics": {"sharpe": (1.0, None)}}, [row for row in seen if (row["sharpe"] or 0) > 1]),
    }
    with session_scope(engine) as session:
        for name, (given, rows) in asked.items():
            assert rows, name
            assert count_up_to(session, owner_id=ME, filters=Filters(**given)) == len(rows), name
            found = {row.task_id for row in list_page(session, owner_id=ME, size=200, filters=Filters(**given)).rows}
            assert found == {row["task_id"] for row in rows}, name
            conditions = Filters(**given, visible_to=ME).conditions(engine.dialect.name)
            assert set(session.scalars(select(Backtest.task_id).where(*conditions))) == found, name
        for limit in (1, len(asked["own"][1]), len(seen) - 1):
            assert count_up_to(session, limit, owner_id=ME) == limit + 1


RANGES = [
    made(0, strategy="rsi_reversion", sharpe=2.0, total_return_pct=-5.0),
    made(1, symbols=["KRW-ETH", "KRW-BTC"], sharpe=1.0, total_return_pct=50.0, tags=["trend", "keep"]),
    made(2, symbols=["KRW-ETH"], timeframe="1d", pinned=True, tags=["trend"], source="api"),
    made(
        3, note="50% better_than BTC\\", status="failed", tags=['a "trend', "그"], created_at=NOON + timedelta(days=2)
    ),
    made(4, note="Überraschung", start_date=date(2020, 1, 1), end_date=date(2020, 6, 1), status="queued"),
    made(5, deleted_at=NOON, sharpe=9.0),
]


FOUND: list[tuple[dict[str, Any], set[int]]] = [
    ({}, {0, 1, 2, 3, 4}),
    ({"strategies": ["rsi_reversion"]}, {0}),
    ({"strategies": ["rsi_reversion", "sma_cross"]}, {0, 1, 2, 3, 4}),
    ({"strategies": ["nothing"]}, set()),
    ({"statuses": ["failed", "queued"]}, {3, 4}),
    ({"symbols": ["KRW-ETH"]}, {1, 2}),
    ({"symbols": ["KRW-ETH", "KRW-BTC"]}, {0, 1, 2, 3, 4}),
    ({"symbols": ["KRW"]}, set()),
    ({"timeframes": ["1d"]}, {2}),
    ({"tags": ["trend"]}, {1, 2}),
    ({"tags": ["trend", "keep"]}, {1}),
    ({"tags": ['a "trend', "그"]}, {3}),
    ({"tags": ["a"]}, set()),
    ({"sources": ["api"]}, {2}),
    ({"pinned": True}, {2}),
    ({"pinned": False}, {0, 1, 3, 4}),
    ({"submitted_from": NOON + timedelta(minutes=1)}, {3, 4}),
    ({"submitted_from": NOON, "submitted_to": NOON + timedelta(minutes=1)}, {0, 1, 2}),
    ({"period_to": date(2020, 6, 1)}, {4}),
    ({"period_from": date(2024, 1, 1)}, {0, 1, 2, 3}),
    ({"metrics": {"sharpe": (1.0, None)}}, {0, 1}),
    ({"metrics": {"sharpe": (None, 1.0)}}, {1}),
    ({"metrics": {"sharpe": (1.0, 2.0), "total_return_pct": (0.0, None)}}, {1}),
    ({"metrics": {"sharpe": (None, None)}}, {0, 1, 2}),
    ({"text": "BETTER"}, {3}),
    ({"text": "50% better_than"}, {3}),
    ({"text": "btc\\"}, {3}),
    ({"text": "%"}, {3}),
    ({"text": "r_s"}, set()),
    ({"text": "  "}, {0, 1, 2, 3, 4}),
    ({"text": "raschung\x00"}, {4}),
    ({"deleted": True}, {5}),
    ({"owner_id": 77}, set()),
    ({"symbols": ["KRW-ETH"], "pinned": True, "timeframes": ["1d"], "tags": ["trend"]}, {2}),
]


def test_filters(engine: Engine) -> None:
    ids = fill(engine, RANGES)
    for given, numbers in FOUND:
        filters = Filters(**given)
        for sort in ("-created_at", "-sharpe"):
            found = [task_id for page in pages(engine, size=2, filters=filters, sort=sort) for task_id in page]
            assert sorted(ids.index(task_id) for task_id in found) == sorted(numbers), given
        with session_scope(engine) as session:
            assert count_up_to(session, filters=filters) == len(numbers), given


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"sort": "params"}, "sort is 'params'; allowed: created_at, -created_at"),
        ({"sort": "--sharpe"}, "sort is"),
        ({"filters": Filters(statuses=["done"])}, "status is 'done'; allowed: queued, running"),
        ({"filters": Filters(metrics={"password_hash": (0, 1)})}, "metric is 'password_hash'"),
        ({"filters": Filters(metrics={"sharpe": (float("nan"), None)})}, "sharpe is nan; allowed: numbers"),
    ],
)
def test_unknown_filters_and_orders_are_named(engine: Engine, question: dict[str, Any], said: str) -> None:
    with session_scope(engine) as session, pytest.raises(BadFilter, match=said):
        list_page(session, **question)


def test_counting_stops_early(engine: Engine) -> None:
    fill(engine, [made(number) for number in range(12)])
    with session_scope(engine) as session:
        assert count_up_to(session, 5) == 6
        assert count_up_to(session, 12) == count_up_to(session) == 12
