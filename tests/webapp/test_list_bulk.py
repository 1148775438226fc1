"""What is done to many backtests at once from the list."""

import csv
import io
from datetime import timedelta

import pytest
from flask import url_for
from sqlalchemy import select

from storage_core import backtest_bulk, backtests
from storage_core.backtest_keeping import MOST_TAGS, UNDO_FOR
from storage_core.db import session_scope, utc_now
from storage_core.errors import BadFilter
from storage_core.models import AuditEntry, Backtest
from tests.webapp import results


@pytest.fixture
def some(engine, users):
    """Three ended backtests of ada's, one of tom's, one of ada's that still waits."""
    ids = [results.queue(engine, owner_id=users[name]) for name in ("ada", "ada", "ada", "tom", "ada")]
    with session_scope(engine) as session:
        for task_id in ids[:4]:
            session.get(Backtest, task_id).status = "completed"
    return ids


def rows(engine, ids):
    with session_scope(engine) as session:
        found = [session.get(Backtest, task_id) for task_id in ids]
        session.expunge_all()
    return found


def do(browser, what, ids, **more):
    return browser.post("/backtests/selected", {"do": what, "id": list(map(str, ids)), **more}, htmx=True)


def test_tags_come_and_go(admin, engine, some):
    answer = do(admin, "tag", some[:2], tags="trend, btc")
    assert "2 backtests tagged trend, btc." in answer.get_data(as_text=True)
    assert [row.tags for row in rows(engine, some[:3])] == [["btc", "trend"], ["btc", "trend"], []]
    assert do(admin, "untag", some[:3], tags="btc,none").status_code == 200
    assert [row.tags for row in rows(engine, some[:3])] == [["trend"], ["trend"], []]


@pytest.mark.parametrize(("tags", "says"), [("", "Write a tag first"), ("x" * 41, "1 to 40 printable characters")])
def test_a_tag_that_cannot_be_changes_nothing(admin, engine, some, tags, says):
    assert says in do(admin, "tag", some[:2], tags=tags).get_data(as_text=True)
    assert [row.tags for row in rows(engine, some[:2])] == [[], []]


def test_too_many_tags_change_nothing(engine, some):
    with session_scope(engine) as session:
        session.get(Backtest, some[1]).tags = sorted(f"t{number:02}" for number in range(MOST_TAGS))
    with pytest.raises(BadFilter, match="at most 20"), session_scope(engine) as session:
        backtest_bulk.tag(session, some[:2], owner_id=None, add=["one more"])
    assert [len(row.tags) for row in rows(engine, some[:2])] == [0, MOST_TAGS]


def test_pins(admin, engine, some):
    assert "3 backtests pinned." in do(admin, "pin", some[:3]).get_data(as_text=True)
    assert [row.pinned for row in rows(engine, some[:4])] == [True, True, True, False]
    assert "1 backtest unpinned." in do(admin, "unpin", some[:1]).get_data(as_text=True)


def test_deleting_leaves_what_is_pinned_or_has_not_ended_and_undo_brings_it_back(admin, engine, some, users):
    do(admin, "pin", some[2:3])
    html = do(admin, "delete", [*some[:3], some[4]], back="sort=sharpe").get_data(as_text=True)
    assert "2 backtests deleted." in html
    assert "2 were left: they are pinned, have not ended" in html
    assert [row.deleted_at is None for row in rows(engine, some)] == [False, False, True, True, True]
    at = html.split('name="at" value="')[1].split('"')[0]
    answer = admin.post("/backtests/undo", {"at": at, "back": "sort=sharpe"})
    assert answer.headers["Location"] == "/backtests?sort=sharpe"
    assert "2 backtests are back." in admin.get(answer.headers["Location"]).text
    assert all(row.deleted_at is None for row in rows(engine, some))
    with session_scope(engine) as session:
        log = [(event.kind, event.actor) for event in backtests.events(session, some[0])]
        audited = [(line.action, line.target) for line in session.scalars(select(AuditEntry).order_by(AuditEntry.id))]
    assert log[-2:] == [("deleted", "ada"), ("restored", "ada")]
    assert sorted(audited) == sorted(
        (action, str(task_id)) for action in ("backtest.deleted", "backtest.restored") for task_id in some[:2]
    )
    assert "nothing to take back" in admin.post("/backtests/undo", {"at": at}, htmx=True).get_data(as_text=True)


def test_undo_is_for_ones_own_and_for_a_week(trader, engine, some, users):
    now = utc_now()
    old = now - UNDO_FOR - timedelta(seconds=1)
    with session_scope(engine) as session:
        assert backtest_bulk.delete(session, some[:1], owner_id=users["ada"], by="ada", now=now) == [some[0]]
        assert backtest_bulk.delete(session, some[1:2], owner_id=None, by="ada", now=old) == [some[1]]
    with session_scope(engine) as session:
        assert backtest_bulk.restore(session, now, owner_id=users["tom"], by="tom") == []
        assert backtest_bulk.restore(session, old, owner_id=None, by="ada") == []
        assert backtest_bulk.restore(session, now, owner_id=users["ada"], by="ada") == [some[0]]


def test_a_trader_changes_only_their_own(trader, engine, some):
    assert "1 backtest pinned." in do(trader, "pin", some).get_data(as_text=True)
    assert [row.pinned for row in rows(engine, some)] == [False, False, False, True, False]
    do(trader, "unpin", some)
    assert "1 backtest deleted." in do(trader, "delete", some).get_data(as_text=True)
    assert [row.deleted_at is None for row in rows(engine, some)] == [True, True, True, False, True]


def test_a_viewer_may_compare_and_export_only(viewer, some):
    page = viewer.get("/backtests")
    assert not page.find("button", value="delete")
    for what in ("tag", "untag", "pin", "unpin", "delete"):
        assert do(viewer, what, some).status_code == 403
    assert viewer.post("/backtests/undo", {"at": "1"}).status_code == 403
    assert do(viewer, "export", some).status_code == 200


def test_compare_and_export_of_the_selection(app, admin, some):
    to = do(admin, "compare", some[:2]).headers["HX-Redirect"]
    with app.test_request_context():
        assert to == url_for("compare.page", ids=f"{some[0]},{some[1]}")
    answer = admin.post("/backtests/selected", {"do": "export", "id": [str(some[0]), str(some[2])]})
    lines = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True))))
    assert {line["task_id"] for line in lines} == {str(some[0]), str(some[2])}
    nothing = admin.post("/backtests/selected", {"do": "export"}).get_data(as_text=True)
    assert len(nothing.splitlines()) == 1


@pytest.mark.parametrize("form", [{"do": "burn", "id": []}, {"do": "pin", "id": ["x"]}, {}])
def test_nonsense_is_refused(admin, form):
    assert admin.post("/backtests/selected", form).status_code == 400
    assert admin.post("/backtests/undo", {"at": "yesterday"}).status_code == 400


def test_nothing_selected_is_said(admin, some):
    assert "Nothing was selected" in do(admin, "delete", []).get_data(as_text=True)


def test_without_a_token_nothing_happens(admin, engine, some):
    answer = admin.client.post("/backtests/selected", data={"do": "delete", "id": str(some[0])})
    assert answer.status_code == 400
    assert rows(engine, some[:1])[0].deleted_at is None
