"""Many backtests at once, and saved views, on both databases."""

from datetime import timedelta

import pytest

from storage_core import backtest_bulk, backtests, saved_views
from storage_core.backtest_filters import Filters
from storage_core.backtest_list import list_page
from storage_core.db import session_scope, utc_now
from storage_core.errors import BadFilter
from storage_core.models import Backtest, User
from storage_core.names import BadName
from tests.storage_core.examples import spec


@pytest.fixture
def people(engine):
    with session_scope(engine) as session:
        users = [User(name=name, role="trader", password_hash="") for name in ("ada", "tom")]
        session.add_all(users)
        session.flush()
        return [user.id for user in users]


def make(engine, owner_id, status="completed", **values):
    with session_scope(engine) as session:
        row = backtests.create(session, spec=spec(), owner_id=owner_id, source="web")
        row.status = status
        for name, value in values.items():
            setattr(row, name, value)
        return row.task_id


def test_tags_pins_deletes_and_restores_touch_what_they_name(engine, people):
    ada, tom = people
    mine, pinned, waits = make(engine, ada, tags=["old"]), make(engine, ada, pinned=True), make(engine, ada, "queued")
    theirs, aside = make(engine, tom), make(engine, ada)
    every = [mine, pinned, waits, theirs]
    now = utc_now()
    with session_scope(engine) as session:
        assert backtest_bulk.tag(session, every, owner_id=ada, add=["new", "a"], remove=["old"]) == 3
        assert backtest_bulk.pin(session, [waits, theirs], owner_id=None, pinned=True) == 2
        assert list(backtest_bulk.delete(session, every, owner_id=ada, by="ada", now=now)) == [mine]
    with session_scope(engine) as session:
        rows = {task_id: session.get(Backtest, task_id) for task_id in (*every, aside)}
        assert [rows[one].tags for one in (*every, aside)] == [["a", "new"]] * 3 + [[], []]
        assert [rows[one].pinned for one in (*every, aside)] == [False, True, True, True, False]
        assert rows[mine].deleted_at == now
        assert sum(row.deleted_at is None for row in rows.values()) == 4
        assert list_page(session, filters=Filters(tags=("a", "new"))).rows[0].task_id in (pinned, waits)
    with session_scope(engine) as session:
        assert backtest_bulk.restore(session, now + timedelta(microseconds=1), owner_id=ada, by="ada") == []
        assert backtest_bulk.restore(session, now, owner_id=tom, by="tom") == []
        assert list(backtest_bulk.restore(session, now, owner_id=ada, by="ada")) == [mine]
        assert [event.kind for event in backtests.events(session, mine)][-2:] == ["deleted", "restored"]


def test_only_these_ids_are_listed(engine, people):
    first, second = make(engine, people[0]), make(engine, people[0])
    with session_scope(engine) as session:
        assert [row.task_id for row in list_page(session, filters=Filters(task_ids=[second])).rows] == [second]
        assert list_page(session, filters=Filters(task_ids=[])).rows == []
        assert len(list_page(session, filters=Filters(task_ids=[first, second])).rows) == 2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_too_many_at_once_are_refused(engine, people):
    many = [make(engine, people[0])] * (backtest_bulk.MOST_AT_ONCE + 1)
    with session_scope(engine) as session, pytest.raises(BadFilter, match="at most 200 at once"):
        backtest_bulk.pin(session, many, owner_id=None, pinned=True)


def test_views_belong_to_one_person_and_have_one_name_each(engine, people):
    ada, tom = people
    with session_scope(engine) as session:
        for owner in people:
            saved_views.save(session, owner, name="best", query="sort=-sharpe")
        view = saved_views.save(session, ada, name=" best ", query="sort=sharpe")
        other = saved_views.save(session, ada, name="Among the first", query="")
        assert [(one.name, one.query) for one in saved_views.listed(session, ada)] == [
            ("Among the first", ""),
            ("best", "sort=sharpe"),
        ]
        assert [one.query for one in saved_views.listed(session, tom)] == ["sort=-sharpe"]
        ids = view.id, other.id
    with session_scope(engine) as session:
        assert not saved_views.rename(session, tom, ids[0], "stolen")
        assert not saved_views.remove(session, tom, ids[0])
        assert saved_views.rename(session, ada, ids[0], "worst")
    with pytest.raises(BadFilter, match="no other view of yours"), session_scope(engine) as session:
        saved_views.rename(session, ada, ids[1], "worst")
    with session_scope(engine) as session:
        assert saved_views.remove(session, ada, ids[1])
        assert not saved_views.remove(session, ada, ids[1])
        assert [one.name for one in saved_views.listed(session, ada)] == ["worst"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_views_have_limits(engine, people):
    with session_scope(engine) as session:
        with pytest.raises(BadName):
            saved_views.save(session, people[0], name="\u202e", query="")
        with pytest.raises(BadFilter, match="at most 4000"):
            saved_views.save(session, people[0], name="long", query="x" * 4_001)
        for number in range(saved_views.MOST_VIEWS):
            saved_views.save(session, people[0], name=f"view {number}", query="")
        with pytest.raises(BadFilter, match="at most 100 views"):
            saved_views.save(session, people[0], name="one more", query="")
        assert saved_views.save(session, people[0], name="view 7", query="pinned=true").query == "pinned=true"
